"""Cuts a document into chunks that fit the embedding model, where the structure of the text allows it.

Boundaries depend on the text nearby, never on how many chunks came before: an insertion at the top changes
the chunk it falls into, and the ones after it find their old boundaries again at the next heading or at the
next paragraph whose content marks it as one (content-defined chunking, Muthitacharoen et al., LBFS, SOSP 2001).
"""

import itertools
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.ingestion.blocks import Block, scan
from pipelines_persistence.ports import Tokenizer
from pipelines_persistence.records import Chunk, Markup, ParsedDocument

if TYPE_CHECKING:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

VERSION = "1"
"""Changes whenever the same text may be cut elsewhere; part of the fingerprint."""

_ANCHOR_ONE_IN = 4
_SPLIT_WINDOW = (
    64  # tokens' worth of characters, times the capacity: bounds the splitter's work on one huge block
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A block that fits a chunk, or a piece of one that did not."""

    start: int
    end: int
    tokens: int
    level: int
    is_anchor: bool


@dataclass(frozen=True)
class Chunker:
    """Cuts documents for one tokenizer and one limit.

    Attributes:
        tokens: the most tokens of a chunk, special tokens included.
        overlap: the most tokens that a chunk repeats of the one before.
        special_tokens: what the model adds to every text.
    """

    tokenizer: Tokenizer
    tokens: int
    special_tokens: int = 0
    overlap: int = 0

    def __post_init__(self) -> None:
        """Refuse limits that leave no room for text."""
        if self.overlap > self.tokens // 2 or self._capacity < 8:
            raise ConfigurationError(
                f"chunks of {self.tokens} tokens with an overlap of {self.overlap} leave no room for text: "
                "raise chunking.tokens, or lower chunking.overlap to at most half of it"
            )

    @property
    def _capacity(self) -> int:
        return self.tokens - self.special_tokens - self.overlap

    def split(self, document: ParsedDocument) -> list[Chunk]:
        """Return the chunks of a document in order; none if it has no text."""
        text, blocks = document.text, scan(document.text, document.markup)
        units = list(self._units(text, blocks, document.markup))
        spans = [(group[0].start, group[-1].end) for group in _pack(units, self._capacity)]
        exact = [span for start, end in spans for span in self._refit(text, start, end)]
        spans = self._with_overlap(text, exact) if self.overlap else exact
        headings = _HeadingPaths(blocks)
        counts = self.tokenizer.count([text[start:end] for start, end in spans])
        return [
            Chunk(text[start:end], start, end, headings.at(origin), tokens + self.special_tokens)
            for (start, end), (origin, _), tokens in zip(spans, exact, counts, strict=True)
        ]

    def _units(self, text: str, blocks: Sequence[Block], markup: Markup) -> Iterator[_Unit]:
        counts = self.tokenizer.count([text[block.start : block.end] for block in blocks])
        for block, tokens in zip(blocks, counts, strict=True):
            if tokens <= self._capacity:
                yield _Unit(block.start, block.end, tokens, block.level, _is_anchor(text, block))
            else:
                pieces = list(self._divide(text, block.start, block.end, markup))
                sizes = self.tokenizer.count([text[start:end] for start, end in pieces])
                for (start, end), size in zip(pieces, sizes, strict=True):
                    yield _Unit(start, end, size, level=0, is_anchor=False)

    def _refit(self, text: str, start: int, end: int) -> Iterable[tuple[int, int]]:
        """Check a chunk as a whole: not every tokenizer counts a text like the sum of its parts."""
        if self.tokenizer.count([text[start:end]])[0] <= self._capacity:
            return [(start, end)]
        return self._divide(text, start, end, Markup.PLAIN)

    def _divide(self, text: str, start: int, end: int, markup: Markup) -> Iterator[tuple[int, int]]:
        """Cut a span that is too large at the largest semantic units that fit."""
        splitter = self._splitters[markup is Markup.MARKDOWN]
        for window_start, window_end in _windows(text, start, end, self._capacity * _SPLIT_WINDOW):
            for offset, piece in splitter.chunk_indices(text[window_start:window_end]):
                piece_start = window_start + offset
                yield piece_start, piece_start + len(piece)

    def _with_overlap(self, text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Let each chunk begin with the last sentences of the one before, as many as the overlap holds."""
        widened = list(spans[:1])
        for (start, end), (next_start, next_end) in itertools.pairwise(spans):
            tail, _ = self._overlap_splitter.chunk_indices(text[start:end])[-1]
            fits = (
                self.tokenizer.count([text[start + tail : next_end]])[0] <= self.tokens - self.special_tokens
            )
            widened.append((start + tail if fits else next_start, next_end))
        return widened

    def _count_one(self, text: str) -> int:
        return self.tokenizer.count([text])[0]

    @cached_property
    def _splitters(self) -> "tuple[TextSplitter, MarkdownSplitter]":
        from semantic_text_splitter import MarkdownSplitter, TextSplitter

        capacity = self._capacity
        return (
            TextSplitter.from_callback(self._count_one, capacity),
            MarkdownSplitter.from_callback(self._count_one, capacity),
        )

    @cached_property
    def _overlap_splitter(self) -> "TextSplitter":
        from semantic_text_splitter import TextSplitter

        return TextSplitter.from_callback(self._count_one, self.overlap)


def _is_anchor(text: str, block: Block) -> bool:
    """Whether a paragraph's own content makes it a boundary; stable wherever the paragraph stands."""
    return zlib.crc32(text[block.start : block.end].encode()) % _ANCHOR_ONE_IN == 0


def _pack(units: Iterable[_Unit], capacity: int) -> Iterator[list[_Unit]]:
    """Join neighbours into groups of at most `capacity` tokens; a heading stays with what follows it."""
    group: list[_Unit] = []
    for unit in units:
        size = sum(member.tokens for member in group)
        if group and size + unit.tokens > capacity:
            body, headings = _without_trailing_headings(group)
            yield body
            fits = sum(heading.tokens for heading in headings) + unit.tokens <= capacity
            if headings and not fits:
                yield headings
            group = headings if fits else []
        elif _opens(unit, group, size, capacity):
            yield group
            group = []
        group.append(unit)
    if group:
        yield group


def _opens(unit: _Unit, group: list[_Unit], size: int, capacity: int) -> bool:
    """Whether a unit starts a new chunk although it would fit: not after a heading, and not after too little."""
    if not group or group[-1].level:
        return False
    return (bool(unit.level) and size >= capacity // 4) or (unit.is_anchor and size >= capacity // 2)


def _without_trailing_headings(group: list[_Unit]) -> tuple[list[_Unit], list[_Unit]]:
    cut = len(group)
    while cut > 0 and group[cut - 1].level:
        cut -= 1
    return (group[:cut], group[cut:]) if cut else (group, [])


def _windows(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a span into windows of at most `size` characters, at white space where there is some."""
    while end - start > size:
        cut = max(
            text.rfind("\n", start + size // 2, start + size),
            text.rfind(" ", start + size // 2, start + size),
        )
        cut = cut + 1 if cut > start else start + size
        yield start, cut
        start = cut
    yield start, end


class _HeadingPaths:
    """Answers which sections contain a position."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._starts: list[int] = []
        self._paths: list[tuple[str, ...]] = []
        stack: list[Block] = []
        for block in blocks:
            if block.level:
                stack = [*(outer for outer in stack if outer.level < block.level), block]
                self._starts.append(block.start)
                self._paths.append(tuple(heading.title for heading in stack))

    def at(self, position: int) -> tuple[str, ...]:
        index = bisect_right(self._starts, position) - 1
        return self._paths[index] if index >= 0 else ()
