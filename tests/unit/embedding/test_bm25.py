"""Sparse vectors of words."""

import json
import subprocess
import sys

import pytest

from pipelines_persistence.adapters.embedding.bm25 import Bm25Embedder
from pipelines_persistence.errors import ConfigurationError

TEXTS = ["The quick brown fox jumps over the lazy dog", "foxes", "éclair 日本語", "the and of"]


def weights(vector):
    return dict(zip(vector.indices, vector.values, strict=True))


def test_words_are_the_same_numbers_in_every_process_and_release():
    code = (
        "import json\nfrom pipelines_persistence.adapters.embedding.bm25 import Bm25Embedder\n"
        f"print(json.dumps([list(v.indices) for v in Bm25Embedder().embed_documents({TEXTS!r})]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [list(vector.indices) for vector in Bm25Embedder().embed_documents(TEXTS)]
    assert json.loads(done.stdout) == here
    # As of qdrant-edge-py 0.9.0; if these change, `_VERSION` has to, or old indexes find nothing by words.
    assert here[1] == [1621867415]
    assert set(here[1]) < set(here[0])


def test_a_question_finds_the_stem_of_a_word_with_a_weight_of_one():
    document, question = (
        Bm25Embedder().embed_documents(["foxes jump"])[0],
        Bm25Embedder().embed_query("The fox, jumping"),
    )
    assert weights(question).keys() == weights(document).keys()
    assert set(question.values) == {1.0}


def test_a_weight_follows_the_formula():
    embedder = Bm25Embedder(k=1.5, b=0.5, average_length=4)
    (vector,) = embedder.embed_documents(["alpha alpha beta"])
    # f (k + 1) / (f + k (1 - b + b length / average)): Robertson and Zaragoza 2009, equation 3.15.
    norm = 1.5 * (1 - 0.5 + 0.5 * 3 / 4)
    expected = {frequency * 2.5 / (frequency + norm) for frequency in (1, 2)}
    assert sorted(vector.values) == pytest.approx(sorted(expected), rel=1e-5)


@pytest.mark.parametrize("text", ["", "  ", "the", "!?", "\n"])
def test_a_text_without_a_word_that_counts_has_an_empty_vector(text):
    (vector,) = Bm25Embedder().embed_documents([text])
    assert (list(vector.indices), list(vector.values)) == ([], [])
    assert not Bm25Embedder().embed_query(text).indices


def test_a_long_text_and_odd_characters_are_read():
    vectors = Bm25Embedder().embed_documents(["word " * 100_000, "\u0000 \ufffd 👍🏽 ﷽", "x" * 100_000])
    assert len(vectors[0].indices) == 1


def test_every_fact_is_in_the_fingerprint():
    facts = [{}, {"language": "german"}, {"k": 2.0}, {"b": 0.1}, {"average_length": 60.0}]
    assert len({Bm25Embedder(**fact).fingerprint for fact in facts}) == len(facts)


def test_a_language_that_it_does_not_know_is_named():
    with pytest.raises(ConfigurationError, match="klingon"):
        Bm25Embedder(language="klingon").embed_query("nuqneH")
