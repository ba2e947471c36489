"""The contract of the `Embedder` port, run against every backend."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest

from pipelines_persistence.adapters.embedding import create_embedder
from pipelines_persistence.adapters.embedding.processors import has_bf16
from pipelines_persistence.configuration import EmbeddingConfig
from pipelines_persistence.errors import EmbeddingError

TEXTS = [
    "The cat sleeps on the warm windowsill.",
    "A kitten naps by the window in the sun.",
    "Interest rates rose by half a percent in March.",
    "猫は窓辺で眠っている。",
    "def add(a, b):\n    return a + b",
    "",
    "!!! ??? ...",
    "word " * 150,
    "short",
]
CUSTOM = """
import zlib
import numpy as np

class Letters:
    dimension = 32
    version = "7"

    def embed(self, texts):
        return [[1 + text.count(chr(97 + i)) for i in range(32)] for text in texts]
"""


BACKENDS = [
    "openvino fp32",
    *(["openvino bf16"] if has_bf16() else []),
    "sentence-transformers",
    "hash",
    "custom",
]


@pytest.fixture(scope="module", params=BACKENDS)
def config(request, tmp_path_factory):
    backend, _, precision = request.param.partition(" ")
    if backend == "sentence-transformers" and find_spec("sentence_transformers") is None:
        pytest.skip("the extra 'sentence-transformers' is not installed")
    if backend == "custom":
        folder = tmp_path_factory.mktemp("custom")
        (folder / "contract_letters.py").write_text(CUSTOM)
        backend = "contract_letters:Letters"
        sys.path.append(str(folder))
    return EmbeddingConfig(backend=backend, precision=precision or "auto")


@pytest.fixture(scope="module")
def embedder(config):
    return create_embedder(config)


@pytest.fixture
def tolerance(config):
    return 5e-3 if config.precision == "bf16" else 1e-4


def test_there_is_one_finite_float32_row_for_each_text(embedder):
    vectors = embedder.embed_documents(TEXTS)

    assert vectors.shape == (len(TEXTS), embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert (np.linalg.norm(vectors, axis=1) > 0).all()


def test_vectors_have_length_one_unless_they_are_a_users_own(embedder, config):
    lengths = np.linalg.norm(embedder.embed_documents(TEXTS), axis=1)

    assert np.allclose(lengths, 1, atol=1e-5) != (":" in config.backend)


def test_rows_stand_in_the_order_of_the_texts(embedder, tolerance):
    forth = embedder.embed_documents(TEXTS)
    back = embedder.embed_documents(TEXTS[::-1])

    assert np.allclose(forth, back[::-1], atol=tolerance)


def test_a_vector_does_not_depend_on_the_other_texts_of_its_batch(embedder, tolerance):
    together = embedder.embed_documents(TEXTS * 7)
    alone = np.vstack([embedder.embed_documents([text]) for text in TEXTS])

    assert np.allclose(together, np.tile(alone, (7, 1)), atol=tolerance)


def test_no_texts_give_an_empty_array_of_the_right_width(embedder):
    assert embedder.embed_documents([]).shape == (0, embedder.dimension)


def test_a_query_has_one_dimension_and_is_the_vector_of_its_text(embedder, tolerance):
    query = embedder.embed_query(TEXTS[0])

    assert query.shape == (embedder.dimension,)
    assert query.dtype == np.float32
    assert np.allclose(query, embedder.embed_documents([TEXTS[0]])[0], atol=tolerance)


def test_a_query_beyond_the_limit_is_cut_and_not_refused(embedder):
    assert np.isfinite(embedder.embed_query("question " * 5_000)).all()


def test_a_query_that_is_no_valid_unicode_still_has_a_vector(embedder):
    assert np.isfinite(embedder.embed_query("caf\udce9 au lait")).all()


def test_the_end_of_a_long_document_counts_or_the_document_is_refused_by_its_position(embedder):
    long = "word " * 10_000
    try:
        one, other = embedder.embed_documents([long + "zebra", long + "quartz"])
    except EmbeddingError as error:
        assert "text 0 has 1000" in str(error)  # noqa: PT017 - some backends read everything
    else:
        assert not np.array_equal(one, other)


def test_a_document_of_exactly_the_limit_is_accepted(embedder):
    words = embedder.max_tokens - embedder.special_tokens
    text = " ".join(["word"] * words)
    [count] = embedder.tokenizer.count([text])

    assert count == words
    assert len(embedder.embed_documents([text])) == 1


def test_two_embedders_of_one_configuration_have_the_same_fingerprint(embedder, config):
    assert create_embedder(config).fingerprint == embedder.fingerprint
    assert embedder.fingerprint


def test_the_fingerprints_of_different_backends_differ(embedder, config):
    others = [EmbeddingConfig(backend="hash"), EmbeddingConfig(precision="fp32")]

    assert all(
        create_embedder(other).fingerprint != embedder.fingerprint
        for other in others
        if (other.backend, other.precision) != (config.backend, config.precision)
        and not (other.backend == config.backend == "hash")
    )


def test_threads_share_an_embedder(embedder, tolerance):
    expected = embedder.embed_documents(TEXTS)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(embedder.embed_documents, [TEXTS] * 8))

    assert all(np.allclose(result, expected, atol=tolerance) for result in results)


def test_the_tokenizer_counts_each_text_by_itself(embedder):
    counts = embedder.tokenizer.count(TEXTS)

    assert counts == [embedder.tokenizer.count([text])[0] for text in TEXTS]
    assert counts[5] == 0
    assert embedder.tokenizer.count([]) == []
