"""The default embedder against sentence-transformers, same model, same texts."""

from collections.abc import Iterator

from benchmarks.corpus import chunks
from benchmarks.measure import Figure, compare
from pipelines_persistence.adapters.embedding import create_embedder
from pipelines_persistence.adapters.embedding.models import require_model
from pipelines_persistence.configuration import DEFAULT_MODEL, EmbeddingConfig


def figures(texts: int = 192) -> Iterator[Figure]:
    """Compare each precision with `SentenceTransformer.encode(batch_size=32)` at fp32, its defaults."""
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(require_model(DEFAULT_MODEL).path), device="cpu")
    sample = [chunk.text for chunk in chunks(texts)]
    for precision in ("auto", "fp32"):
        embedder = create_embedder(EmbeddingConfig(precision=precision))
        yield compare(
            f"embedding, openvino {precision} : sentence-transformers fp32",
            lambda embedder=embedder: embedder.embed_documents(sample),
            lambda: reference.encode(sample, batch_size=32, normalize_embeddings=True),
            amount=len(sample),
            unit="chunks",
        )
