"""Searches that were asked before. See docs/caching.md for why an answer is never older than the last finished run."""

from typing import Protocol

from pipelines_persistence.caching import Cache, Hits, Namespace
from pipelines_persistence.caching.reads import digest
from pipelines_persistence.errors import TransientError
from pipelines_persistence.filters import Where, as_filter
from pipelines_persistence.ports import Ledger, VectorStore
from pipelines_persistence.records import Hit, RunState, SearchMode

_UNSETTLED = 2.0
"""Seconds for which an answer is kept while a run is writing: what it wrote last is not yet to be told."""


class Searching(Protocol):
    """What is wrapped: `Searcher`."""

    def search(
        self, query: str, index: str, *, limit: int = 5, where: Where = None, mode: SearchMode | None = None
    ) -> list[Hit]:
        """Return the chunks nearest to a question, best first."""


class CachedSearcher:
    """Answers from the cache, as long as nothing was written to the index since.

    The key names the collection behind the alias, so a promotion or a rollback changes it, and the newest run of the index
    with its state, so every run changes it when it begins and when it ends. Both are read before the search, from where all
    processes see them: the promise does not rest on a message that could be missed.
    """

    def __init__(self, searcher: Searching, store: VectorStore, ledger: Ledger, cache: Cache) -> None:
        """Take what searches, what tells of the index, and where answers are kept."""
        self._searcher = searcher
        self._store = store
        self._ledger = ledger
        self._answers: Namespace[list[Hit]] = cache.namespace("search", Hits())

    def search(
        self, query: str, index: str, *, limit: int = 5, where: Where = None, mode: SearchMode | None = None
    ) -> list[Hit]:
        """Return what `Searcher.search` returns, and raise what it raises.

        While the store does not answer, what was asked since the last run is still answered.
        """
        collection, away = self._collection(index)

        def load() -> list[Hit]:
            if away is not None:
                raise away  # it was asked for as long as it may be: not once more
            return self._searcher.search(query, index, limit=limit, where=where, mode=mode)

        if collection is None:
            return load()  # says what is wrong
        run, is_running = self._newest_run(index)
        return self._answers.get_or_load(
            digest(index, collection, run, query, limit, repr(as_filter(where)), mode),
            load,
            tags=[index_tag(index)],
            ttl=_UNSETTLED if is_running else None,
        )

    def _collection(self, index: str) -> tuple[str | None, TransientError | None]:
        """Return what the alias names, or what it must name according to the ledger, and why the store was not to be had."""
        try:
            return self._store.aliases().get(index), None
        except TransientError as error:
            live = self._ledger.live(index)
            return live.collection if live else None, error

    def _newest_run(self, index: str) -> tuple[str, bool]:
        runs = self._ledger.runs(index, 1)
        if not runs:
            return "", False
        # Ids and names begin anew with a new home, moments do not; the shared cache may be older than the home.
        newest = runs[0]
        name = f"{newest.id} {newest.state} {newest.started_at.isoformat()}"
        return name, newest.state is RunState.RUNNING


def index_tag(index: str) -> str:
    """Return the tag of all answers from an index, to drop them by hand."""
    return f"index-{index}"
