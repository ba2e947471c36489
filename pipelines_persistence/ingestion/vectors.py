"""What a vector must be before it may enter the index."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines_persistence.errors import EmbeddingError
from pipelines_persistence.ports import Embedder

if TYPE_CHECKING:
    from pipelines_persistence.records import Matrix


def embed(embedder: Embedder, texts: Sequence[str]) -> "Matrix":
    """Embed texts and verify the result: shape (len(texts), dimension), float32, finite, no zero vector.

    Raises:
        EmbeddingError: says which row is wrong, and how.
    """
    import numpy as np

    try:
        vectors = np.asarray(embedder.embed_documents(texts), dtype=np.float32)
    except EmbeddingError:
        raise
    except Exception as error:
        raise EmbeddingError(
            f"the embedder failed on {len(texts)} texts: {type(error).__name__}: {error}"
        ) from error
    expected = (len(texts), embedder.dimension)
    if vectors.shape != expected:
        raise EmbeddingError(
            f"the embedder returned an array of shape {vectors.shape} where {expected} was expected"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise EmbeddingError(
            f"the embedder returned NaN or infinity for text {int(np.argmin(finite))} of the batch"
        )
    nonzero = vectors.any(axis=1)
    if not nonzero.all():
        raise EmbeddingError(
            f"the embedder returned a zero vector for text {int(np.argmin(nonzero))} of the batch"
        )
    return vectors
