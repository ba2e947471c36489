"""Search over the generation that an index's alias names: by meaning, by words, or by both."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipelines_persistence.configuration import EmbeddingConfig, IndexConfig
from pipelines_persistence.errors import ConfigurationError, IndexNotFound
from pipelines_persistence.filters import Where, as_filter
from pipelines_persistence.ports import Embedder, Ledger, Query, SparseEmbedder, VectorStore
from pipelines_persistence.records import Generation, Hit, SearchMode, payload_key

_CANDIDATES = 100


def _no_words(_config: IndexConfig) -> SparseEmbedder | None:
    """Search by meaning only."""
    return None


@dataclass(frozen=True)
class Searcher:
    """Searches any index with the embedders it was built with.

    Attributes:
        sparse: the sparse embedder of an index; None where it has none.
    """

    store: VectorStore
    ledger: Ledger
    embedder: Callable[[EmbeddingConfig], Embedder]
    sparse: Callable[[IndexConfig], SparseEmbedder | None] = _no_words

    def search(
        self, query: str, index: str, *, limit: int = 5, where: Where = None, mode: SearchMode | None = None
    ) -> list[Hit]:
        """Return the chunks nearest to a question, best first.

        Args:
            query: in plain words.
            index: name of the index.
            limit: the most hits.
            where: which chunks may be hits, by payload field or by key of their metadata.
            mode: by default hybrid where the index has sparse vectors, else dense.

        Raises:
            IndexNotFound: nothing has been ingested under that name.
            ConfigurationError: the question is empty; or the mode needs sparse vectors, and the index has none.
        """
        if not query.strip():
            raise ConfigurationError('the question is empty: ask something, such as "How do I get started?"')
        generation = self._generation(index)
        config = IndexConfig.model_validate_json(generation.configuration)
        asked = self._query(query, index, config, mode)
        if asked.vector is None and asked.sparse is None:
            return []
        conditions = as_filter(where).renamed(payload_key)
        bounds = replace(asked, limit=limit, where=conditions, candidates=max(limit, _CANDIDATES))
        return self.store.search(generation.collection, bounds)

    def _query(self, text: str, index: str, config: IndexConfig, mode: SearchMode | None) -> Query:
        words = self.sparse(config)
        mode = mode or (SearchMode.HYBRID if words else SearchMode.DENSE)
        if mode is SearchMode.DENSE:
            return Query(self.embedder(config.embedding).embed_query(text))
        if words is None:
            raise ConfigurationError(
                f"index {index!r} has no sparse vectors for a {mode} search: set `collection: {{sparse: bm25}}` of "
                f"{index!r} in pipelines.yaml and run `pipelines ingest {index}`, or search with the mode dense"
            )
        sparse = words.embed_query(text)
        found = sparse if sparse.indices else None  # a question without a word that counts
        if mode is SearchMode.SPARSE:
            return Query(sparse=found)
        return Query(self.embedder(config.embedding).embed_query(text), found)

    def _generation(self, index: str) -> Generation:
        # By the alias, not by the ledger: the collection and the embedder must belong together at any moment.
        collection = self.store.aliases().get(index)
        generation = self.ledger.by_collection(collection) if collection else None
        if generation is None:
            raise IndexNotFound(self._missing(index, collection))
        return generation

    def _missing(self, index: str, collection: str | None) -> str:
        known = [generation.index for generation in self.ledger.live_generations()]
        if collection:
            return (
                f"the vector store's alias {index!r} names {collection!r}, which this home's ledger does not know: another home "
                f"keeps an index of that name in the same store. Give yours another name, or see `pipelines ingest --help` "
                "for --take-over"
            )
        if index in known:
            return (
                f"the vector store has no alias {index!r} any more, or it is another store than before: "
                f"`pipelines ingest {index}` mends that"
            )
        hint = f"there are: {', '.join(known)}" if known else "nothing has been ingested yet"
        return f"no index {index!r} ({hint}); run `pipelines ingest {index}` first"
