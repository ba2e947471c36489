"""What turns texts into vectors, and what remembers them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pipelines_persistence.records import (
    SparseVector,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines_persistence.records import Matrix


class Tokenizer(Protocol):
    """Counts as the embedding model counts."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens and without a limit."""


class Embedder(Protocol):
    """Turns texts into vectors. Cheap to make: a model is loaded by the first `embed_*`."""

    @property
    def fingerprint(self) -> str:
        """Identifies everything that decides a vector: model, weights, precision, pooling, version."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    @property
    def max_tokens(self) -> int:
        """The model's limit for one text, special tokens included."""

    @property
    def special_tokens(self) -> int:
        """How many of `max_tokens` the model spends on every text."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own; does not load the model."""

    def embed_documents(self, texts: Sequence[str]) -> "Matrix":
        """Return an array of shape (len(texts), dimension), float32, rows in the order of `texts`.

        Raises:
            EmbeddingError: the model fails on these texts.
        """

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Return an array of shape (dimension,), float32."""


class SparseEmbedder(Protocol):
    """Turns texts into sparse vectors by their words. The store weighs the words by their rarity (IDF)."""

    @property
    def fingerprint(self) -> str:
        """Identifies everything that decides a vector."""

    def embed_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Return a vector for each text; one without any word has an empty vector."""

    def embed_query(self, text: str) -> SparseVector:
        """Return the vector of a question."""


class EmbeddingCache(Protocol):
    """Vectors by model and text: a text is embedded once, wherever it stands."""

    def get(self, model: str, text_hashes: Sequence[str]) -> "dict[str, NDArray[np.float32]]":
        """Return the vectors that are known, each of shape (dimension,)."""

    def known(self, model: str, text_hashes: Sequence[str]) -> set[str]:
        """Return the hashes that `get` would find, without reading a vector."""

    def put(self, model: str, text_hashes: Sequence[str], vectors: "Matrix") -> None:
        """Keep vectors of shape (len(text_hashes), dimension)."""
