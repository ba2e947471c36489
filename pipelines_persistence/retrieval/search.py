"""Dense search over the generation that an index's alias names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines_persistence.configuration import EmbeddingConfig, IndexConfig
from pipelines_persistence.errors import IndexNotFound
from pipelines_persistence.ports import Embedder, Ledger, VectorStore
from pipelines_persistence.records import Generation, Hit, Scalar, payload_key


@dataclass(frozen=True)
class Searcher:
    """Searches any index with the embedder it was built with."""

    store: VectorStore
    ledger: Ledger
    embedder: Callable[[EmbeddingConfig], Embedder]

    def search(
        self, query: str, index: str, *, limit: int = 5, where: Mapping[str, Scalar] | None = None
    ) -> list[Hit]:
        """Return the chunks nearest to a question, best first.

        Args:
            query: in plain words.
            index: name of the index.
            limit: the most hits.
            where: equal values that a hit must have, by payload field or by key of its metadata.

        Raises:
            IndexNotFound: nothing has been ingested under that name.
        """
        generation = self._generation(index)
        config = IndexConfig.model_validate_json(generation.configuration)
        vector = self.embedder(config.embedding).embed_query(query)
        conditions = {payload_key(key): value for key, value in (where or {}).items()}
        return self.store.search(generation.collection, vector, limit=limit, where=conditions)

    def _generation(self, index: str) -> Generation:
        # By the alias, not by the ledger: the collection and the embedder must belong together at any moment.
        collection = self.store.aliases().get(index)
        generation = self.ledger.by_collection(collection) if collection else None
        if generation is None:
            known = ", ".join(generation.index for generation in self.ledger.live_generations())
            hint = f"there are: {known}" if known else "nothing has been ingested yet"
            raise IndexNotFound(f"no index {index!r} ({hint}); run `pipelines ingest {index}` first")
        return generation
