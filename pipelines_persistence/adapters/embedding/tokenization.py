"""Counts and encodes text exactly as the embedding model does.

`tokenizers` is the reference. `tokie` counts about thirty times faster, but reads U+007F and the characters
of recent Unicode versions differently, and from 64 KiB on it cuts a text for its threads, in the middle of a word
or even of a character. So it counts only where the two are known to agree: the BERT tokenizer in its usual
setting, pieces of less than 64 KiB, the characters of `_AGREED`, each of which a test compares. A count never
depends on whether `tokie` is installed.
"""

import importlib.util
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines_persistence.errors import ConfigurationError

if TYPE_CHECKING:
    import tokie
    from tokenizers import Encoding
    from tokenizers import Tokenizer as Reference

PIECE = 1 << 13
"""Characters after which a long text may be cut for counting: bounds the memory a count takes."""

_GROUP = 128
"""Pieces that the reference counts at once: a million characters, spread over the processors."""

_AGREED = (
    (0x0000, 0x007E),  # ASCII without DELETE
    (0x0080, 0x0377),  # Latin, IPA, combining marks
    (0x0386, 0x038A),  # Greek
    (0x038E, 0x03A1),
    (0x03A3, 0x052F),  # Greek, Cyrillic
    (0x05D0, 0x05EA),  # Hebrew letters
    (0x0620, 0x06FF),  # Arabic
    (0x0900, 0x097F),  # Devanagari
    (0x0E01, 0x0E3A),  # Thai
    (0x1E00, 0x1EFF),  # Latin with diacritics
    (0x2000, 0x2064),  # punctuation, spaces, marks of direction
    (0x20A0, 0x20BF),  # currencies
    (0x2100, 0x218B),  # letter-like symbols, number forms
    (0x2190, 0x23FF),  # arrows, mathematics, technical
    (0x2500, 0x27BF),  # boxes, shapes, dingbats
    (0x3000, 0x303F),  # CJK punctuation
    (0x3041, 0x3096),  # Hiragana
    (0x3099, 0x30FF),  # Katakana
    (0x4E00, 0x9FFF),  # Han
    (0xAC00, 0xD7A3),  # Hangul
    (0xFE0F, 0xFE0F),  # the emoji selector
    (0xFEFF, 0xFEFF),  # the byte order mark
    (0xFF01, 0xFFBE),  # half and full width
    (0xFFFD, 0xFFFD),  # the replacement character
    (0x1F300, 0x1F64F),  # emoji
    (0x1F680, 0x1F6C5),
)
_DISPUTED = re.compile(f"[^{''.join(f'{chr(first)}-{chr(last)}' for first, last in _AGREED)}]")
_LONGEST_FAST = 2 * PIECE - 1  # characters of at most four bytes: less than 64 KiB
_WORD_ENDS = re.compile(r"[ \t\r\n\u4e00-\u9fff]")

_SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
_USUAL_BERT: dict[str, dict[str, object]] = {
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {"type": "WordPiece", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
}


def pieces(text: str) -> Iterator[str]:
    """Cut a long text before blanks and Han characters, where BERT never joins anything into one token."""
    start = 0
    while len(text) - start > PIECE:
        end = _WORD_ENDS.search(text, start + PIECE)
        if end is None:
            break
        yield text[start : end.start()]
        start = end.start()
    yield text[start:] if start else text


def well_formed(text: str) -> str:
    """Replace halves of surrogate pairs, which no encoding has, by question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()


class HuggingFaceTokenizer:
    """The `Tokenizer` port over a `tokenizer.json`, without the truncation and padding that it asks for."""

    def __init__(self, path: Path) -> None:
        """Remember where the file is; it is read by the first use."""
        self._path = path

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens and without a limit."""
        counts = [0] * len(texts)
        slow = (item for item in self._pieces(texts) if not self._count_fast(item, counts))
        while group := list(islice(slow, _GROUP)):
            encodings = self._encode([piece for _, piece in group], special=False)
            for (position, _), encoding in zip(group, encodings, strict=True):
                counts[position] += len(encoding)
        return counts

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included and without a limit."""
        return [encoding.ids for encoding in self._encode(texts, special=True)]

    @property
    def special_tokens(self) -> int:
        """How many tokens the model adds to every text."""
        return int(self._reference.num_special_tokens_to_add(is_pair=False))

    def _encode(self, texts: Sequence[str], *, special: bool) -> "list[Encoding]":
        # "fast" leaves out the character offsets; the ids are the same.
        try:
            return self._reference.encode_batch_fast(list(texts), add_special_tokens=special)
        except (
            TypeError,
            UnicodeEncodeError,
        ):  # half of a surrogate pair, as in an argument that is no UTF-8
            return self._reference.encode_batch_fast(
                list(map(well_formed, texts)), add_special_tokens=special
            )

    def _pieces(self, texts: Sequence[str]) -> Iterator[tuple[int, str]]:
        for position, text in enumerate(texts):
            if self._is_usual_bert and len(text) > PIECE:
                yield from ((position, piece) for piece in pieces(text))
            else:
                yield position, text

    def _count_fast(self, item: tuple[int, str], counts: list[int]) -> bool:
        position, piece = item
        if self._fast is None or len(piece) > _LONGEST_FAST or _DISPUTED.search(piece):
            return False
        counts[position] += self._fast.count_tokens(piece)
        return True

    @cached_property
    def _is_usual_bert(self) -> bool:
        try:
            settings = json.loads(self._path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self._path} is not a tokenizer: {error}") from error
        added = {token["content"] for token in settings.get("added_tokens") or ()}
        return added <= _SPECIAL and all(
            {**(settings.get(part) or {}), **usual} == settings.get(part)
            for part, usual in _USUAL_BERT.items()
        )

    @cached_property
    def _fast(self) -> "tokie.Tokenizer | None":
        if not self._is_usual_bert or importlib.util.find_spec("tokie") is None:
            return None
        import tokie

        return tokie.Tokenizer.from_json(str(self._path))

    @cached_property
    def _reference(self) -> "Reference":
        from tokenizers import Tokenizer as Reference

        try:
            reference = Reference.from_file(str(self._path))
        except Exception as error:  # the library raises nothing more precise
            raise ConfigurationError(f"{self._path} is not a tokenizer: {error}") from error
        reference.no_truncation()
        reference.no_padding()
        return reference
