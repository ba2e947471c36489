"""What embedders share: unit length, and the limit of a text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines_persistence.errors import EmbeddingError

if TYPE_CHECKING:
    from pipelines_persistence.records import Matrix


def normalized(vectors: "Matrix") -> "Matrix":
    """Return the rows of an array of shape (n, dimension), none all zeros, scaled to length 1."""
    import numpy as np

    result: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return result


def require_within(limit: int, counts: Sequence[int], *, first: int = 0) -> None:
    """Refuse documents that the model would cut: what it does not read must not look indexed.

    Args:
        limit: the model's limit for one text, special tokens included.
        counts: tokens of each text, special tokens included.
        first: position of the first of them in the caller's list.

    Raises:
        EmbeddingError: names the first text that is too long.
    """
    long = [row for row, count in enumerate(counts) if count > limit]
    if long:
        raise EmbeddingError(
            f"text {first + long[0]} has {counts[long[0]]} tokens and the model reads {limit}"
            f" ({len(long)} such texts): cut it into smaller chunks"
        )
