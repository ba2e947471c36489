import importlib.util
import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipelines_persistence.adapters.embedding import tokenization
from pipelines_persistence.adapters.embedding.models import require_model
from pipelines_persistence.adapters.embedding.tokenization import HuggingFaceTokenizer, pieces
from pipelines_persistence.errors import ConfigurationError

FILE = require_model("all-MiniLM-L6-v2").tokenizer
tokenizer = HuggingFaceTokenizer(FILE)
# ruff: noqa: RUF001 - confusable characters are the point
NASTY = [
    "", " ", "\n\n", "\x00", "\x7f", "a\x7fb", "\ufeffstart", "e\u0301 = é", "\u0301\u0327", "Straße İstanbul ſ ﬁ",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 ☎️", "مرحبا \u202eabc\u202c שלום", "한국어 각 \u1100\u1161\u11a8", "日本語と中文", "ไทย हिन्दी",
    "[CLS] a[SEP]b [MASK] [UNK] [PAD] [cls]", "a" * 99, "a" * 100, "a" * 101, "é" * 101, "e\u0301" * 101,
    "x_y-z.w/v", "snake_case CamelCase 3.14 1e-5 0xFF", "\u2028\u2029\u00a0\u3000\u200b\u200d", "\ufffd\ufffe\uffff",
    "\u0378\u0530\U0001f9cc\U000e0041\U00020000", "don't — “quoted” … ½ ² ™", "\t\r\n\v\f", "##ing ing",
]  # fmt: skip


@cache
def oracle():
    """The reference as it is meant to be used."""
    reference = Tokenizer.from_file(str(FILE))
    reference.no_truncation()
    reference.no_padding()
    return reference


def expected(texts):
    return [len(oracle().encode(text, add_special_tokens=False)) for text in texts]


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_a_difficult_text_counts_as_the_reference_counts(text):
    assert tokenizer.count([text]) == expected([text])


@given(st.lists(st.text(), max_size=4))
@settings(max_examples=300)
def test_any_text_counts_as_the_reference_counts(texts):
    assert tokenizer.count(texts) == expected(texts)


@given(
    st.text(
        st.sampled_from("ab 1.,#'-\n\t[]_éßİ\u0301\u0327\u1e69中가\u1100\u200d👍\x7f\x00CLSEP"), max_size=120
    )
)
@settings(max_examples=1000)
def test_a_dense_mixture_of_difficult_characters_counts_as_the_reference_counts(text):
    assert tokenizer.count([text]) == expected([text])


@pytest.mark.parametrize("frame", ["{}", "ab{}cd", "1{}2", " {}\u0301", "e{}\u0327x", "中{}가"])
def test_every_character_that_is_counted_fast_counts_as_the_reference_counts(frame):
    if importlib.util.find_spec("tokie") is None:
        pytest.skip("tokie is not installed: everything is counted by the reference")
    characters = [chr(code) for first, last in tokenization._AGREED for code in range(first, last + 1)]
    texts = [frame.format(character) for character in characters]

    encodings = oracle().encode_batch_fast(texts, add_special_tokens=False)

    assert tokenizer._fast is not None
    fast = [tokenizer._fast.count_tokens(text) for text in texts]
    assert [text for text, count, one in zip(texts, fast, encodings, strict=True) if count != len(one)] == []


def test_a_long_text_counts_the_same_as_a_whole():
    text = "\n".join(
        f"Line {number}: naïve café, 日本語 {'☃' * (number % 3)}\u1f9cc" for number in range(4_000)
    )

    assert len(text) > 4 * tokenization.PIECE
    assert tokenizer.count([text]) == expected([text])


@given(st.text(st.sampled_from("aa \n"), min_size=1, max_size=99), st.integers(1, 2_000))
def test_the_pieces_of_a_text_are_the_text(text, times):
    assert "".join(pieces(text * times)) == text * times


def test_a_long_text_without_a_blank_is_one_piece():
    text = "x" * (3 * tokenization.PIECE)

    assert list(pieces(text)) == [text]
    assert tokenizer.count([text]) == expected([text]) == [1]


@pytest.mark.parametrize("unit", ["x", "supercalifragilistic", "é", "e\u0301", "👍", "日", "ab.", "a\t", " "])
@pytest.mark.parametrize("size", [tokenization.PIECE * 2 - 1, tokenization.PIECE * 2, 65_536, 300_000])
def test_a_long_text_of_any_kind_counts_as_the_reference_counts(unit, size):
    text = (unit * (size // len(unit) + 1))[:size]

    assert tokenizer.count([text]) == expected([text])


def test_neither_the_files_truncation_nor_its_padding_is_applied():
    shipped = json.loads(FILE.read_bytes())

    assert shipped["truncation"]["max_length"] == 128
    assert tokenizer.count(["word " * 1000, "word"]) == [1000, 1]
    assert [len(ids) for ids in tokenizer.encode(["word " * 1000, "word"])] == [1002, 3]


def test_a_tokenizer_of_another_kind_is_counted_by_the_reference_alone(tmp_path):
    settings = json.loads(FILE.read_bytes())
    settings["normalizer"]["lowercase"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(settings))
    cased = HuggingFaceTokenizer(tmp_path / "tokenizer.json")

    assert cased._fast is None
    assert cased.encode(["UPPER"]) != tokenizer.encode(["UPPER"])


def test_half_of_a_surrogate_pair_is_counted_and_not_an_error():
    assert tokenizer.count(["caf\udce9"]) == expected(["caf?"])


def test_a_file_that_is_no_tokenizer_is_a_configuration_error(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(ConfigurationError, match="is not a tokenizer"):
        HuggingFaceTokenizer(tmp_path / "tokenizer.json").count(["a"])
