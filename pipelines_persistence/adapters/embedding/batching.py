"""Cuts texts of unequal length into batches that waste little padding and have few distinct shapes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BUDGET = 2048
"""Padded tokens a batch: large enough to keep two to sixteen cores busy, small enough for their caches."""

MULTIPLE = 16
"""Lengths are padded to it: a compiled runtime keeps memory for every input shape that it meets."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that are embedded together.

    Attributes:
        rows: positions of the texts in the caller's order.
        length: tokens that each text is padded to.
    """

    rows: tuple[int, ...]
    length: int


def token_batches(
    lengths: Sequence[int], *, longest: int, budget: int = BUDGET, multiple: int = MULTIPLE
) -> Iterator[Batch]:
    """Yield batches that together hold every text exactly once, longest texts first.

    A batch holds at most `budget` padded tokens, or one text. Its number of texts is either as many as
    the budget allows or a power of two, so that few shapes exist whatever the lengths are.

    Args:
        lengths: tokens of each text.
        longest: the most tokens of a text; padding does not go beyond it.
        budget: the most padded tokens of a batch.
        multiple: lengths are rounded up to a multiple of it.
    """
    padded = [min(-(-max(length, 1) // multiple) * multiple, longest) for length in lengths]
    order = sorted(range(len(lengths)), key=padded.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        length = padded[order[start]]
        full = max(1, budget // length)
        # Texts of less than half the length would be mostly padding: they start a batch of their own.
        alike = (row for row in order[start : start + full] if 2 * padded[row] > length)
        rows = tuple(alike)
        if len(rows) < full:
            rows = rows[: 1 << (len(rows).bit_length() - 1)]
        yield Batch(rows, length)
        start += len(rows)
