"""What OpenVINO computes is what sentence-transformers computes."""

from importlib.util import find_spec

import numpy as np
import pytest

from pipelines_persistence.adapters.embedding import create_embedder
from pipelines_persistence.adapters.embedding.models import require_model
from pipelines_persistence.adapters.embedding.processors import has_bf16
from pipelines_persistence.configuration import EmbeddingConfig

if find_spec("sentence_transformers") is None:
    pytest.skip("the extra 'sentence-transformers' is not installed", allow_module_level=True)

SENTENCES = """
The quarterly report shows a modest increase in revenue.
How do I mount a volume into a container?
Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.
Mix flour, water, salt and yeast, then let the dough rest for an hour.
The court ruled that the contract was void from the beginning.
A B-tree keeps its keys sorted and all of its leaves at one depth.
Der schnelle braune Fuchs springt über den faulen Hund.
Le chat dort sur le rebord de la fenêtre.
El tren sale a las ocho y media de la mañana.
Съешь же ещё этих мягких французских булок.
日本語の文章も埋め込みます。
机器学习模型将文本转换为向量。
한국어 문장도 포함합니다.
مرحبا بالعالم
שלום עולם
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
SELECT name, count(*) FROM events GROUP BY name ORDER BY 2 DESC;
{"status": "ok", "items": [1, 2, 3], "next": null}
| column | type | note |\n|---|---|---|\n| id | uuid | primary |
https://example.org/a/b?c=d&e=f#g
I loved this film, and then I hated its ending.
I hated this film, and then I loved its ending.
naïve café, Zürich, São Paulo, Kraków, İstanbul
2024-02-29T23:59:60Z 1e-5 0xDEADBEEF 3.14159
👩‍👩‍👧‍👦 🇩🇪 👍🏽 ☃
supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis
!!! ??? ... --- ***
a
The the the the the the the the.
Restart the service with systemctl, then look at its journal.
""".strip().splitlines()
LENGTHS = (3, 15, 16, 17, 60, 120, 200)
TEXTS = [
    *SENTENCES,
    "",
    " \n ",
    *(" ".join((f"{one} {two}" * 40).split()[:length]) for one, two in zip(SENTENCES[:4], SENTENCES[4:8], strict=True)
      for length in LENGTHS),
]  # fmt: skip


def texts_within(embedder, limit):
    counts = embedder.tokenizer.count(TEXTS)
    return [text for text, count in zip(TEXTS, counts, strict=True) if count <= limit - 2]


@pytest.fixture(scope="module")
def reference():
    return create_embedder(EmbeddingConfig(backend="sentence-transformers"))


@pytest.mark.parametrize(
    ("precision", "least"), [("fp32", 0.99999), *([("bf16", 0.9999)] if has_bf16() else [])]
)
def test_vectors_have_the_direction_of_the_reference(reference, precision, least):
    embedder = create_embedder(EmbeddingConfig(precision=precision))
    texts = texts_within(embedder, embedder.max_tokens)
    assert len(texts) >= 50

    cosines = (embedder.embed_documents(texts) * reference.embed_documents(texts)).sum(axis=1)

    assert cosines.min() >= least


def test_queries_are_cut_at_the_same_token(reference):
    embedder = create_embedder(EmbeddingConfig(precision="fp32"))
    query = " ".join(f"{sentence} {number}" for number, sentence in enumerate(SENTENCES * 3))

    assert embedder.embed_query(query) @ reference.embed_query(query) >= 0.99999


def test_limits_dimension_and_counts_agree(reference):
    embedder = create_embedder(EmbeddingConfig(precision="fp32"))

    assert embedder.dimension == reference.dimension == reference._encoder.get_embedding_dimension()
    assert embedder.max_tokens == reference.max_tokens == reference._encoder.max_seq_length
    assert embedder.special_tokens == reference.special_tokens == 2
    assert embedder.tokenizer.count(TEXTS) == reference.tokenizer.count(TEXTS)


def test_cls_pooling_gives_the_direction_of_the_reference(tmp_path):
    bundled = require_model("all-MiniLM-L6-v2").path
    for file in bundled.glob("*"):
        if file.name != "1_Pooling":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(
        '{"word_embedding_dimension": 384, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    )
    compiled, reference = (
        create_embedder(EmbeddingConfig(backend=backend, model=str(tmp_path), precision="fp32"))
        for backend in ("openvino", "sentence-transformers")
    )

    cosines = (compiled.embed_documents(SENTENCES) * reference.embed_documents(SENTENCES)).sum(axis=1)

    assert cosines.min() >= 0.99999
    assert not np.allclose(
        compiled.embed_query("mean"), create_embedder(EmbeddingConfig()).embed_query("mean"), atol=1e-2
    )
