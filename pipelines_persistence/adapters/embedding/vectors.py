"""What every embedder owes its caller: one finite, non-zero vector a text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines_persistence.errors import EmbeddingError

if TYPE_CHECKING:
    from pipelines_persistence.records import Matrix


def verified(vectors: object, count: int, dimension: int) -> "Matrix":
    """Return `vectors` as a float32 array of shape (count, dimension), or say what is wrong with it.

    Args:
        vectors: anything that NumPy reads as a two-dimensional array.
        count: how many texts were embedded.
        dimension: components of each vector.

    Raises:
        EmbeddingError: another shape, or a row that is not finite or all zeros; names the first such row.
    """
    import numpy as np

    try:
        matrix: Matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise EmbeddingError(f"the embedder returned no array of numbers: {error}") from error
    if count == 0 and matrix.size == 0:
        return matrix.reshape(0, dimension)
    if matrix.shape != (count, dimension):
        raise EmbeddingError(
            f"the embedder returned an array of shape {matrix.shape}, expected {(count, dimension)}"
        )
    # A sum of squares is NaN or infinite as soon as one component is, and one pass finds zeros too.
    lengths = np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64)
    _require(np.isfinite(lengths), "has a component that is not finite")
    _require(lengths > 0, "is all zeros")
    return matrix


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


def _require(is_good: object, problem: str) -> None:
    import numpy as np

    bad = np.flatnonzero(~np.asarray(is_good))
    if bad.size:
        raise EmbeddingError(f"the vector of row {bad[0]} {problem} ({bad.size} such rows)")
