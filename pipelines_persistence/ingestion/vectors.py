"""What a vector must be before it may enter the index."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines_persistence.errors import EmbeddingError, TransientError
from pipelines_persistence.ports import Embedder

if TYPE_CHECKING:
    from pipelines_persistence.records import Matrix


def embed(embedder: Embedder, texts: Sequence[str]) -> "Matrix":
    """Embed texts and verify the result; returns an array of shape (len(texts), embedder.dimension), float32.

    Raises:
        EmbeddingError: the embedder fails, or a vector is no vector.
        TransientError: it does not answer just now; no text is to blame.
    """
    try:
        return verified(embedder.embed_documents(texts), len(texts), embedder.dimension)
    except (EmbeddingError, TransientError):
        raise
    except (
        Exception,
        SystemExit,
    ) as error:  # an embedder of one's own must not end the run, least of all in peace
        raise EmbeddingError(
            f"the embedder failed on {len(texts)} texts: {type(error).__name__}: {error}"
        ) from error


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


def _require(is_good: object, problem: str) -> None:
    import numpy as np

    bad = np.flatnonzero(~np.asarray(is_good))
    if bad.size:
        raise EmbeddingError(f"the vector of row {bad[0]} {problem} ({bad.size} such rows)")
