"""Embedders behind the `Embedder` port: `create_embedder` is the one way in."""

from pipelines_persistence.adapters.embedding.custom import CustomEmbedder
from pipelines_persistence.adapters.embedding.hashing import HashEmbedder
from pipelines_persistence.adapters.embedding.openvino import OpenVinoEmbedder
from pipelines_persistence.adapters.embedding.sentence_transformers import SentenceTransformersEmbedder
from pipelines_persistence.configuration import EmbeddingConfig
from pipelines_persistence.ports import Embedder
from pipelines_persistence.resilience import Guard

__all__ = ["create_embedder"]


def create_embedder(config: EmbeddingConfig, guard: Guard | None = None) -> Embedder:
    """Return the embedder that a configuration asks for; a model is loaded by its first `embed_*`.

    Args:
        config: which one.
        guard: of an embedder of one's own, which may be a service; the others need none.

    Raises:
        ConfigurationError: the model or the backend is not there or does not fit; says what to do.
    """
    match config.backend:
        case "openvino":
            return OpenVinoEmbedder(config.model, config.precision)
        case "sentence-transformers":
            return SentenceTransformersEmbedder(config.model, config.precision)
        case "hash":
            return HashEmbedder()
        case import_path:
            return CustomEmbedder(import_path, guard)
