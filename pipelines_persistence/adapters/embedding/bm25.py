"""Sparse vectors of words, by BM25: computed in this process, with no model to load.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009. A document's vector has the saturated
and length-normalized frequency of each word's stem, a question's a one; the rarity of the words (IDF) is the store's part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipelines_persistence.errors import ConfigurationError, EmbeddingError
from pipelines_persistence.records import SparseVector

if TYPE_CHECKING:
    import qdrant_edge as edge

_VERSION = 1  # raise it when the same text may give another vector


@dataclass(frozen=True)
class Bm25Embedder:
    """The `SparseEmbedder` port by Qdrant's BM25; gives the same vectors on every machine.

    Attributes:
        language: whose stop words are left out and whose endings are cut off, by its English name.
        k: how soon the frequency of a word saturates.
        b: how much the length of a text counts, 0 to 1.
        average_length: in words, of the texts; only its ratio to their real lengths matters.
    """

    language: str = "english"
    k: float = 1.2
    b: float = 0.75
    average_length: float = 256.0

    @property
    def fingerprint(self) -> str:
        """Identifies everything that decides a vector."""
        facts = f"k={self.k:g} b={self.b:g} avg_len={self.average_length:g} language={self.language}"
        return f"bm25-{_VERSION} {facts} tokenizer=word"

    def embed_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Return a vector for each text; one of stop words and signs only has an empty vector.

        Raises:
            ConfigurationError: there is no such language.
            EmbeddingError: the engine fails.
        """
        return [_vector(self._model.embed_document, text) for text in texts]

    def embed_query(self, text: str) -> SparseVector:
        """Return the vector of a question.

        Raises:
            ConfigurationError, EmbeddingError: as `embed_documents`.
        """
        return _vector(self._model.embed_query, text)

    @cached_property
    def _model(self) -> "edge.Bm25":
        from qdrant_edge import Bm25, Bm25Config, TokenizerType

        config = Bm25Config(
            k=self.k,
            b=self.b,
            avg_len=self.average_length,
            language=self.language,
            tokenizer=TokenizerType.Word,
        )
        try:
            return Bm25(config)
        except ValueError as error:
            raise ConfigurationError(
                f"BM25 knows no language {self.language!r}: give its English name, such as english or german"
            ) from error


def _vector(embed: "Callable[[str], edge.SparseVector]", text: str) -> SparseVector:
    try:
        vector = embed(text)
    except Exception as error:  # the engine's errors are bare
        raise EmbeddingError(f"BM25 failed on a text of {len(text)} characters: {error}") from error
    return SparseVector(vector.indices, vector.values)
