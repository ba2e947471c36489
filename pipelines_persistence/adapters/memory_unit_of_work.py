"""The `UnitOfWork` port in memory, over `MemoryEventStore`: for tests. Units take turns."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_repositories import Content, MemoryRepository
from pipelines_persistence.adapters.streams import Repeats, Streams
from pipelines_persistence.errors import ConfigurationError, StorageError
from pipelines_persistence.events import Append, Appended
from pipelines_persistence.repositories import Relation, Repository, Work
from pipelines_persistence.repositories.tables import R, Table

T = TypeVar("T")
_Tables = dict[str, tuple[Table[Any], Content]]
_Guard = Callable[[], AbstractContextManager[None]]

_INSIDE = "within a unit of work something was written past it: use its own repositories and events, and no other unit"


class MemoryUnitOfWork:
    """See `UnitOfWork`."""

    def __init__(self, store: MemoryEventStore) -> None:
        """Take the log."""
        self._store = store
        self._lock = store._news  # noqa: SLF001 - its twin: whoever reads the log waits for the end of a unit
        self._tables: _Tables = {}
        self._is_busy = False

    def open(self, table: Table[Any]) -> None:
        """See `UnitOfWork`."""
        if not table.name:
            raise ConfigurationError(
                f"the table of {table.row.__name__} has no name: Table(..., name='orders')"
            )
        with self._lock:
            known, content = self._tables.get(table.name, (table, {}))
            if known.signature != table.signature:
                raise ConfigurationError(
                    f"the table {table.name!r} was made with other columns than {table.row.__name__} has now: "
                    "give it another name"
                )
            self._tables[table.name] = (table, content)

    def run(self, work: Callable[[Work[Streams]], T]) -> T:
        """See `UnitOfWork`."""
        with self._alone():
            draft = _Draft(self._store)
            tables = {name: (table, dict(content)) for name, (table, content) in self._tables.items()}
            result = work(_MemoryWork(self, tables, draft))
            if not draft.repeats.is_repeated():
                draft.commit()
                for name, (_, content) in tables.items():
                    self._tables[name][1].clear()
                    self._tables[name][1].update(content)
            return result

    def repository(self, table: Table[R]) -> Repository[R]:
        """See `UnitOfWork`."""
        return self._repository(self._tables, table, self._alone)

    def _repository(self, tables: _Tables, table: Table[R], alone: _Guard) -> Repository[R]:
        def related(relation: Relation[Any]) -> Collection[Any]:
            return list(_content(tables, relation.table).values())

        content = _content(tables, table)
        return MemoryRepository(table, lambda: content, related, alone)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            if self._is_busy:  # by this thread, or it would wait: what it does here would be lost
                raise StorageError(_INSIDE)
            self._is_busy = True
            try:
                yield
            finally:
                self._is_busy = False


class _MemoryWork:
    """See `Work`."""

    def __init__(self, units: MemoryUnitOfWork, tables: _Tables, events: Streams) -> None:
        self._units = units
        self._tables = tables
        self.events = events

    def repository(self, table: Table[R]) -> Repository[R]:
        """See `Work`."""
        return self._units._repository(self._tables, table, nullcontext)  # noqa: SLF001 - of the same module


class _Draft(MemoryEventStore):
    """A copy of a log, which takes its place when a unit is committed."""

    def __init__(self, store: MemoryEventStore) -> None:
        self.__dict__.update(vars(store))  # all of its state, of which the draft changes copies
        self._before = list(self._log)
        self._log = list(self._log)
        self._streams = {name: list(events) for name, events in self._streams.items()}
        self._ids = dict(self._ids)
        self._original = store
        self.repeats = Repeats()

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Streams`."""
        stood = any(event_id in self._ids for event_id in self.repeats.begin(appends))
        result = super().append_many(appends)
        self.repeats.note(stood=stood)
        return result

    def commit(self) -> None:
        if vars(self._original)["_log"] != self._before:
            raise StorageError(_INSIDE)
        vars(self._original).update(_log=self._log, _streams=self._streams, _ids=self._ids)
        if self.repeats.appended:
            self._news.notify_all()


def _content(tables: _Tables, table: Table[Any]) -> Content:
    known = tables.get(table.name)
    if known is None or known[0].row is not table.row:
        raise ConfigurationError(
            f"the table {table.name!r} is not open: call open(table) once, before any unit"
        )
    return known[1]
