import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.adapters.embedding.hashing import HashEmbedder, HashTokenizer

embedder = HashEmbedder()


@given(st.lists(st.text(), max_size=8))
def test_every_text_has_a_finite_vector_of_length_one(texts):
    lengths = np.linalg.norm(embedder.embed_documents(texts), axis=1)

    assert np.allclose(lengths, 1, atol=1e-5)


def test_texts_that_share_words_are_nearer_than_texts_that_do_not():
    query = embedder.embed_query("how to rotate the signing keys")
    near, far = embedder.embed_documents(["Rotate signing keys every month.", "Bread needs flour and water."])

    assert query @ near > 0.4 > query @ far


def test_case_and_punctuation_make_no_difference():
    assert np.array_equal(embedder.embed_query("Hello, World!"), embedder.embed_query("hello world"))


def test_texts_without_a_word_differ_by_their_symbols():
    vectors = embedder.embed_documents(["", "+++", "---", "  "])

    assert np.array_equal(vectors[0], vectors[3])
    assert not np.array_equal(vectors[1], vectors[2])


def test_another_process_gives_the_same_vector():
    code = (
        "from pipelines_persistence.adapters.embedding.hashing import HashEmbedder;"
        "print(HashEmbedder().embed_query('the same everywhere').tobytes().hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )

    assert done.stdout.strip() == embedder.embed_query("the same everywhere").tobytes().hex()


def test_cjk_characters_symbols_and_every_eight_letters_are_a_token():
    texts = ["two words", "日本語です", "a, b!", "internationalization", "", " \n\t "]

    assert HashTokenizer().count(texts) == [2, 5, 4, 3, 0, 0]


@given(st.text(), st.text())
def test_counts_add_up_over_a_blank(left, right):
    count = HashTokenizer().count

    assert count([f"{left} {right}"])[0] == count([left])[0] + count([right])[0]
