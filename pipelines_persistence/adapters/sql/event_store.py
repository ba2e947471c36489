"""The `EventStore` port on SQLAlchemy Core, for SQLite and PostgreSQL."""

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_appending import write_events
from pipelines_persistence.adapters.sql.event_import import Importer
from pipelines_persistence.adapters.sql.event_pages import PAGE, stream_pages
from pipelines_persistence.adapters.sql.event_postgres import PostgresBackend
from pipelines_persistence.adapters.sql.event_rows import (
    FARTHEST,
    NO_HEAD,
    Backend,
    Filter,
    Part,
)
from pipelines_persistence.adapters.sql.event_sqlite import SqliteBackend
from pipelines_persistence.adapters.sql.event_tail import Tail
from pipelines_persistence.adapters.sql.event_transactions import Sleep, Taken, UnitOfWork
from pipelines_persistence.errors import ConcurrencyConflict, StreamClosed
from pipelines_persistence.events import (
    ARCHIVED,
    START,
    TOMBSTONED,
    Append,
    Appended,
    Batch,
    Clock,
    Cursor,
    Expected,
    FenceLag,
    Imported,
    NewEvent,
    Partition,
    StoredEvent,
)
from pipelines_persistence.events.appending import admit, admit_stream, admit_type, settle

END = Cursor(2**31 - 1, FARTHEST, FARTHEST)


class SqlEventStore:
    """The event store in a database that `open_database` opened. Safe to share between threads."""

    def __init__(self, engine: sa.Engine, *, sleep: Sleep = time.sleep) -> None:
        """Take the engine; `close` disposes of it.

        Args:
            engine: of an up-to-date database.
            sleep: waits between two attempts, in seconds.
        """
        self._work = UnitOfWork(engine, sleep)
        with self._work.errors():
            self._backend: Backend = (
                SqliteBackend() if engine.dialect.name == "sqlite" else PostgresBackend(engine)
            )
        self._tail = Tail(self._work, self._backend)

    # Writing

    def append(self, stream: str, events: Sequence[NewEvent], expected: int | Expected) -> Appended:
        """See `EventStore`."""
        return self.append_many([Append(stream, events, expected)])[0]

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See `EventStore`."""
        admit(appends)
        return self._write(appends)

    def tombstone(
        self, stream: str, expected: int | Expected = Expected.STREAM_EXISTS, *, actor: str | None = None
    ) -> Appended:
        """See `EventStore`."""
        return self._close(stream, TOMBSTONED, expected, actor)

    def archive(
        self, stream: str, expected: int | Expected = Expected.STREAM_EXISTS, *, actor: str | None = None
    ) -> Appended:
        """See `EventStore`."""
        return self._close(stream, ARCHIVED, expected, actor)

    def check(self, event: NewEvent) -> None:
        """See `EventStore`."""
        admit_type(event)

    def import_events(self, events: Iterable[tuple[str, NewEvent]]) -> Imported:
        """See `EventStore`."""
        return Importer(self._work, self._backend).run(events)

    # Reading

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
        """See `EventStore`."""

        def page(part: Part) -> list[StoredEvent]:
            return self._work.read(partial(self._backend.stream_page, part=part))

        return stream_pages(page, stream, (from_version, to_version), as_of, clock, backwards=backwards)

    def read_all(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        backwards: bool = False,
    ) -> Iterator[StoredEvent]:
        """See `EventStore`."""
        wanted = Filter(after, until or END, types, categories, PAGE, backwards)
        for batch in self._tail.backwards(wanted) if backwards else self._tail.batches(wanted):
            yield from batch.events

    def batches(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        partition: Partition | None = None,
        limit: int = PAGE,
    ) -> Iterator[Batch]:
        """See `EventStore`."""
        return self._tail.batches(Filter(after, until or END, types, categories, limit, partition=partition))

    def count(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        most: int = 100_000,
    ) -> int:
        """See `EventStore`."""
        wanted = Filter(after, until or END, types, categories, most)
        return self._work.read(lambda connection: self._backend.count(connection, wanted))

    def subscribe(
        self,
        after: Cursor = START,
        *,
        stop: threading.Event,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        partition: Partition | None = None,
        limit: int = PAGE,
        poll: float = 1.0,
    ) -> Iterator[Batch]:
        """See `EventStore`."""
        wanted = Filter(after, END, types, categories, limit, partition=partition)
        return self._tail.subscribe(wanted, stop, poll)

    def version(self, stream: str) -> int:
        """See `EventStore`."""
        heads = self._work.read(lambda connection: self._backend.heads(connection, [stream]))
        return heads.get(stream, NO_HEAD).version

    def head(self) -> Cursor:
        """See `EventStore`."""
        last = next(self._tail.backwards(Filter(START, END, (), (), 1, backwards=True)), None)
        return last.events[0].cursor if last else START

    def fence_lag(self) -> FenceLag:
        """See `EventStore`."""
        return self._work.read(self._backend.fence_lag)

    def close(self) -> None:
        """See `EventStore`."""
        self._work.engine.dispose()

    # The unit of work

    def _write(self, appends: Sequence[Append], closing: str = "") -> list[Appended]:
        contest = self._work.contest()
        while True:
            try:
                result = self._work.write(
                    lambda connection: write_events(self._backend, connection, appends, closing), contest
                )
            except (Taken, ConcurrencyConflict, StreamClosed) as refusal:
                # The first of two equal calls may have succeeded without its caller hearing of it.
                if (first := self._settled(appends)) is not None:
                    return first
                if not isinstance(refusal, Taken):
                    raise
                # Another writer was faster; the next attempt holds what is expected against what now stands.
                contest.lost(refusal.__cause__)
            else:
                self._backend.announce()
                return result

    def _settled(self, appends: Sequence[Append]) -> list[Appended] | None:
        ids = [event.id for append in appends for event in append.events]
        return settle(appends, self._work.read(lambda connection: self._backend.standing(connection, ids)))

    def _close(self, stream: str, closing: str, expected: int | Expected, actor: str | None) -> Appended:
        admit_stream(stream)
        try:
            return self._write([Append(stream, [NewEvent(closing, actor=actor)], expected)], closing)[0]
        except StreamClosed:
            last = next(self.read(stream, backwards=True))
            if last.type != closing:
                raise
            return Appended(stream, last.version, last.cursor)
