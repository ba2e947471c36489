"""The composition root: settings and configuration in, engines over real adapters out.

The command line and the Dagster resources both build on it; nothing below it does.
"""

import glob
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pipelines_persistence.configuration import EmbeddingConfig, IndexConfig, SourceConfig
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from pipelines_persistence.adapters.sql.ledger import SqlLedger
    from pipelines_persistence.caching import Cache
    from pipelines_persistence.eventing import Eventing
    from pipelines_persistence.events import EventStore
    from pipelines_persistence.ingestion.engine import IndexEngine
    from pipelines_persistence.observations import ObservationHistory
    from pipelines_persistence.ports import Embedder, EmbeddingCache, SparseEmbedder, VectorStore
    from pipelines_persistence.resilience import Guards
    from pipelines_persistence.retrieval.cached import CachedSearcher


def docs_index(path: str) -> IndexConfig:
    """Return the configuration of an index made on the fly over one folder, file, archive or URL."""
    uri = path if "://" in path else str(Path(path).expanduser().absolute())
    return IndexConfig(description=f"Documents below {path}", sources=(SourceConfig(name="docs", uri=uri),))


class Platform(AbstractContextManager["Platform"]):
    """Opens adapters when they are first needed and closes them at the end."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: "VectorStore | None" = None,
        guards: "Guards | None" = None,
        cache: "Cache | None" = None,
    ) -> None:
        """Take the settings, by default from the environment.

        Args:
            settings: where things are.
            store: a vector store to use, which its owner closes; by default the one that the settings name.
            guards: of the dependencies, where they are shared with others; by default as configured.
            cache: likewise; its owner closes it.
        """
        self.settings = settings or Settings()
        self._store = store
        self._guards = guards
        self._cache = cache
        self._embedders: dict[EmbeddingConfig, Embedder] = {}
        self._exits = ExitStack()

    @cached_property
    def home(self) -> Path:
        """The folder that holds all state; see `Settings.home_directory` for what it raises."""
        return self.settings.home_directory()

    def _outside_home(self, source: SourceConfig, base: Path) -> SourceConfig:
        """Leave the home out of a source that contains it: an index of the ledger would never settle."""
        root = (base / source.uri).resolve()
        if "://" in source.uri or not self.home.resolve().is_relative_to(root):
            return source
        within = glob.escape(self.home.resolve().relative_to(root).as_posix())
        return source.model_copy(update={"exclude": (*source.exclude, f"{within}/**")})

    @cached_property
    def store(self) -> "VectorStore":
        """The vector store: a server where the settings name one, else the engine in the home."""
        from pipelines_persistence.adapters.vector_stores import open_vector_store

        if self._store:
            return self._store
        store = open_vector_store(
            self.home / "qdrant",
            self.settings.configuration.qdrant,
            self.settings.qdrant_url,
            self.settings.qdrant_api_key,
            self.guards["vector_store"],
        )
        self._exits.callback(store.close)
        return store

    @cached_property
    def guards(self) -> "Guards":
        """What stands between the platform and each dependency: retries and circuit breakers."""
        from pipelines_persistence.resilience import Guards

        return self._guards or Guards(self.settings.configuration.resilience)

    @cached_property
    def _database(self) -> "sa.Engine":
        from pipelines_persistence.adapters.sql.database import open_database

        return open_database(f"sqlite:///{self.home / 'ledger.sqlite'}")

    @cached_property
    def ledger(self) -> "SqlLedger":
        """The record of what each index should hold."""
        from pipelines_persistence.adapters.sql.ledger import SqlLedger

        ledger = SqlLedger(self._database)
        self._exits.callback(ledger.close)
        return ledger

    @cached_property
    def embeddings(self) -> "EmbeddingCache":
        """Vectors by text: what was embedded once."""
        from pipelines_persistence.adapters.sql.embedding_cache import SqlEmbeddingCache

        return SqlEmbeddingCache(self._database)

    @cached_property
    def eventing(self) -> "Eventing":
        """What deals with events."""
        from pipelines_persistence.eventing import Eventing

        return Eventing(self.settings, self._exits, self.guards, lambda: self.cache)

    @cached_property
    def cache(self) -> "Cache":
        """What keeps answers of searches and read models, and embeddings of questions.

        Raises:
            ConfigurationError: see `open_cache`.
        """
        from pipelines_persistence.adapters.caching import open_cache

        if self._cache:
            return self._cache
        url = self.settings.redis_url
        cache = open_cache(
            self.settings.configuration.cache,
            self.home,
            url.get_secret_value() if url else None,
            self.guards["cache"],
        )
        self._exits.callback(cache.close)
        return cache

    @cached_property
    def observations(self) -> "ObservationHistory":
        """What was found when dependencies were looked at."""
        from pipelines_persistence.adapters.sql.observations import SqlObservations

        return SqlObservations(self._database)

    @property
    def events_database(self) -> "sa.Engine":
        """The database of events; see `Eventing.database` for what it raises."""
        return self.eventing.database

    @property
    def events(self) -> "EventStore":
        """The log of events."""
        return self.eventing.store

    @cached_property
    def searcher(self) -> "CachedSearcher":
        """Answers questions from any index; what was asked before and still holds comes from the cache."""
        from pipelines_persistence.caching import CachedQueryEmbedder
        from pipelines_persistence.retrieval.cached import CachedSearcher
        from pipelines_persistence.retrieval.search import Searcher

        def embedder(config: EmbeddingConfig) -> CachedQueryEmbedder:
            return CachedQueryEmbedder(self.embedder(config), self.cache)

        searcher = Searcher(self.store, self.ledger, embedder, self.sparse_embedder)
        return CachedSearcher(searcher, self.store, self.ledger, self.cache)

    def embedder(self, config: EmbeddingConfig) -> "Embedder":
        """Return the embedder of a configuration; one is made only once."""
        from pipelines_persistence.adapters.embedding import create_embedder

        if config not in self._embedders:
            self._embedders[config] = create_embedder(config, self.guards.guard("embedder", config.backend))
        return self._embedders[config]

    def sparse_embedder(self, config: IndexConfig) -> "SparseEmbedder | None":
        """Return the sparse embedder of an index; None where it has none."""
        from pipelines_persistence.adapters.embedding.bm25 import Bm25Embedder

        return Bm25Embedder() if config.collection.sparse == "bm25" else None

    def index_config(self, name: str) -> IndexConfig:
        """Return the configuration of an index: from the file, or as it was made on the fly.

        Raises:
            ConfigurationError: there is no such index.
        """
        configured = self.settings.indexes
        if name in configured:
            return configured[name]
        if live := self.ledger.live(name):
            return IndexConfig.model_validate_json(live.configuration)
        known = ", ".join(configured) or "none"
        raise ConfigurationError(
            f"no index {name!r} in {self.settings.config} (there: {known}); "
            f"add it there, or name a folder: pipelines ingest {name} --docs PATH"
        )

    def engine(self, name: str, config: IndexConfig) -> "IndexEngine":
        """Return the engine of an index over this platform's adapters."""
        from pipelines_persistence.adapters.index_lock import IndexLock
        from pipelines_persistence.adapters.sources import open_source
        from pipelines_persistence.ingestion.engine import IndexEngine
        from pipelines_persistence.ingestion.parsing import Parser
        from pipelines_persistence.pipelines.recording import PipelineRecorder

        self.settings.require_writable_home()
        base = self.settings.config.absolute().parent
        parser = Parser(config.limits)
        self._exits.callback(parser.close)
        return IndexEngine(
            name=name,
            config=config,
            sources=[
                open_source(
                    self._outside_home(source, base),
                    base,
                    guard=self.guards.guard("sources", f"{name}/{source.name}"),
                    timeout=self.settings.configuration.resilience.sources.timeout,
                )
                for source in config.sources
            ],
            parser=parser,
            embedder=self.embedder(config.embedding),
            cache=self.embeddings,
            store=self.store,
            ledger=self.ledger,
            lock=IndexLock(self.home / "locks", name),
            recorder=PipelineRecorder(lambda: self.eventing.store),
            sparse=self.sparse_embedder(config),
            is_shared=self.settings.qdrant_url is not None,
        )

    def close(self) -> None:
        """Close what was opened, the last first; safe to call twice."""
        self._exits.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
