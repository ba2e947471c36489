"""The embeddings of questions: the same question is embedded once, in whatever process."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines_persistence.caching.codecs import Vector
from pipelines_persistence.caching.ports import Cache
from pipelines_persistence.ports import Embedder, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines_persistence.records import Matrix


class CachedQueryEmbedder:
    """Wraps an `Embedder`. The key is its fingerprint and the text, so an entry never becomes wrong."""

    def __init__(self, embedder: Embedder, cache: Cache) -> None:
        """Take what embeds, and where its vectors are kept."""
        self._embedder = embedder
        self._vectors = cache.namespace(f"queries-{embedder.dimension}", Vector(embedder.dimension))

    @property
    def fingerprint(self) -> str:
        """See `Embedder`."""
        return self._embedder.fingerprint

    @property
    def dimension(self) -> int:
        """See `Embedder`."""
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        """See `Embedder`."""
        return self._embedder.max_tokens

    @property
    def special_tokens(self) -> int:
        """See `Embedder`."""
        return self._embedder.special_tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """See `Embedder`."""
        return self._embedder.tokenizer

    def embed_documents(self, texts: Sequence[str]) -> "Matrix":
        """See `Embedder`; documents have a cache of their own, in the ledger."""
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """See `Embedder`; the array is read-only."""
        key = hashlib.sha256(f"{self.fingerprint}\0{text}".encode()).hexdigest()
        return self._vectors.get_or_load(key, lambda: self._embedder.embed_query(text))
