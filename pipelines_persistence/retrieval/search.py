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
            ConfigurationError: the mode needs sparse vectors, and the index has none.
        """
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
            known = ", ".join(generation.index for generation in self.ledger.live_generations())
            hint = f"there are: {known}" if known else "nothing has been ingested yet"
            raise IndexNotFound(f"no index {index!r} ({hint}); run `pipelines ingest {index}` first")
        return generation
