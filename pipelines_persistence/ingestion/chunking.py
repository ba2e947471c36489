"""Cuts a document into chunks that fit the embedding model, where the structure of the text allows it.

A text is cut in two at its outermost heading, or else at the paragraph whose hash is the lowest, and so on until
every part fits. Boundaries thus belong to the content, not to a position (content-defined chunking, Muthitacharoen
et al., LBFS, SOSP 2001): a paragraph inserted at the top changes the chunk it falls into and hardly any other.
"""

import itertools
import zlib
from bisect import bisect_left, bisect_right
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

_NO_HEADING = 7  # ranks after the six levels of headings
_SPLIT_WINDOW = (
    64  # tokens' worth of characters, times the capacity: bounds the splitter's work on one huge block
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A block that fits a chunk, or a piece of one that did not."""

    start: int
    end: int
    tokens: int
    rank: tuple[int, int]


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
                yield _Unit(block.start, block.end, tokens, _rank(text, block))
            else:
                pieces = list(self._divide(text, block.start, block.end, markup))
                sizes = self.tokenizer.count([text[start:end] for start, end in pieces])
                for (start, end), size in zip(pieces, sizes, strict=True):
                    yield _Unit(start, end, size, _rank(text, Block(start, end)))

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


def _rank(text: str, block: Block) -> tuple[int, int]:
    """How willingly a text is cut before a block, the lowest first: at outer headings, else by its content's hash."""
    return block.level or _NO_HEADING, zlib.crc32(text[block.start : block.end].encode())


def _pack(units: Sequence[_Unit], capacity: int) -> Iterator[Sequence[_Unit]]:
    """Cut a document in two at its best boundary, and each part again, until every part fits."""
    sums = list(itertools.accumulate((unit.tokens for unit in units), initial=0))
    spans = [(0, len(units))] if units else []
    while spans:
        start, end = spans.pop()
        if sums[end] - sums[start] <= capacity or end - start == 1:
            yield units[start:end]
        else:
            cut = _best_cut(units, sums, start, end, capacity)
            spans += [(cut, end), (start, cut)]  # a stack: the first part is taken next


def _best_cut(units: Sequence[_Unit], sums: Sequence[int], start: int, end: int, capacity: int) -> int:
    """Return the position of the lowest rank that leaves half a chunk at least on either side.

    Measured against a quarter of the span and other fractions: the fullest chunks, and the fewest that an insertion
    changes (1.4 on average in prose).
    """
    size = sums[end] - sums[start]
    side = min(capacity, size) // 2
    low = bisect_left(sums, sums[start] + side, start + 1, end - 1)
    high = max(bisect_right(sums, sums[end] - side, low, end - 1), low + 1)
    return min(range(low, high), key=lambda position: _rank_at(units, position))


def _rank_at(units: Sequence[_Unit], position: int) -> tuple[int, int]:
    if units[position - 1].rank[0] < _NO_HEADING:
        return _NO_HEADING + 1, 0  # a heading stays with what follows it, where there is a choice
    return units[position].rank


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
