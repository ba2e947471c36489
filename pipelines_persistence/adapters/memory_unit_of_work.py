"""The `UnitOfWork` port in memory, over `MemoryEventStore`: for tests. Units take turns."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any, TypeVar

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_repositories import Content, MemoryRepository
from pipelines_persistence.adapters.streams import Repeats, Streams
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.events import Append, Appended, Clock, Cursor, StoredEvent
from pipelines_persistence.repositories import Relation, Repository, Work
from pipelines_persistence.repositories.boundaries import Lifetime, refuse_within, within
from pipelines_persistence.repositories.tables import R, Table

T = TypeVar("T")
_Tables = dict[str, tuple[Table[Any], Content]]


class MemoryUnitOfWork:
    """See `UnitOfWork`."""

    def __init__(self, store: MemoryEventStore) -> None:
        """Take the log."""
        self._store = store
        self._lock = store._news  # noqa: SLF001 - its twin: whoever reads the log waits for the end of a unit
        self._tables: _Tables = {}

    def open(self, table: Table[Any]) -> None:
        """See `UnitOfWork`."""
        if not table.name:
            raise ConfigurationError(
                f"the table of {table.row.__name__} has no name: Table(..., name='orders')"
            )
        with self._alone():
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
            lifetime = Lifetime()
            draft = _Draft(self._store, lifetime)
            tables = {name: (table, dict(content)) for name, (table, content) in self._tables.items()}
            try:
                with within(self._store):
                    result = work(_MemoryWork(tables, draft, lifetime))
            finally:
                lifetime.is_over = True
            if not draft.repeats.is_repeated():
                draft.commit()
                for name, (_, content) in tables.items():
                    self._tables[name][1].clear()
                    self._tables[name][1].update(content)
            return result

    def repository(self, table: Table[R]) -> Repository[R]:
        """See `UnitOfWork`."""

        def outside() -> _Tables:
            refuse_within(self._store)
            return self._tables

        return MemoryRepository(table, *_rows(outside, self._tables, table), self._alone)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        refuse_within(self._store)
        with self._lock:
            yield


class _MemoryWork:
    """See `Work`."""

    def __init__(self, tables: _Tables, events: Streams, lifetime: Lifetime) -> None:
        self._tables = tables
        self._lifetime = lifetime
        self.events = events

    def repository(self, table: Table[R]) -> Repository[R]:
        """See `Work`."""

        def inside() -> _Tables:
            self._lifetime.require()
            return self._tables

        return MemoryRepository(table, *_rows(inside, self._tables, table), nullcontext)


class _Draft(MemoryEventStore):
    """A copy of a log, which takes its place when a unit is committed."""

    def __init__(self, store: MemoryEventStore, lifetime: Lifetime) -> None:
        self.__dict__.update(vars(store))  # all of its state, of which the draft changes copies
        self._log = list(self._log)
        self._streams = {name: list(events) for name, events in self._streams.items()}
        self._ids = dict(self._ids)
        self._original = store
        self._lifetime = lifetime
        self.repeats = Repeats()

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Streams`."""
        self._lifetime.require()
        stood = any(event_id in self._ids for event_id in self.repeats.begin(appends))
        result = super().append_many(appends)
        self.repeats.note(stood=stood)
        return result

    def read(
        self,
        stream: str,
        from_version: int = 1,
        to_version: int | None = None,
        *,
        as_of: datetime | Cursor | None = None,
        clock: Clock = Clock.RECORDED,
        backwards: bool = False,
    ) -> Iterator[StoredEvent]:
        """See `Streams`."""
        self._lifetime.require()
        return super().read(stream, from_version, to_version, as_of=as_of, clock=clock, backwards=backwards)

    def version(self, stream: str) -> int:
        """See `Streams`."""
        self._lifetime.require()
        return super().version(stream)

    def commit(self) -> None:
        vars(self._original).update(_log=self._log, _streams=self._streams, _ids=self._ids)
        if self.repeats.appended:
            self._news.notify_all()


def _rows(
    asked: Callable[[], _Tables], tables: _Tables, table: Table[Any]
) -> tuple[Callable[[], Content], Callable[[Relation[Any]], Collection[Any]]]:
    """Return what returns the rows of a table, and related ones; `asked` refuses where they may not be asked for."""
    _content(tables, table)

    def related(relation: Relation[Any]) -> Collection[Any]:
        return list(_content(asked(), relation.table).values())

    return lambda: _content(asked(), table), related


def _content(tables: _Tables, table: Table[Any]) -> Content:
    known = tables.get(table.name)
    if known is None or known[0].row is not table.row:
        raise ConfigurationError(
            f"the table {table.name!r} is not open: call open(table) once, before any unit"
        )
    return known[1]
