"""The `EventStore` port in memory: for tests, and for trying something out. Nothing survives the process."""

import itertools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime

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
    aware,
)
from pipelines_persistence.events.appending import (
    MOST,
    Standing,
    admit,
    admit_stream,
    admit_type,
    expect,
    settle,
)
from pipelines_persistence.events.records import CLOSING
from pipelines_persistence.repositories.boundaries import refuse_within

_EPOCH = 1


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryEventStore:
    """See `EventStore`. Safe to share between threads."""

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        """Begin with an empty log; `now` tells the time, aware."""
        self._now = now
        self._news = threading.Condition(threading.RLock())
        self._log: list[StoredEvent] = []
        self._streams: dict[str, list[StoredEvent]] = {}
        self._ids: dict[str, StoredEvent] = {}
        self._positions = itertools.count(1)

    # Writing

    def append(self, stream: str, events: Sequence[NewEvent], expected: int | Expected) -> Appended:
        """See `EventStore`."""
        return self.append_many([Append(stream, events, expected)])[0]

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See `EventStore`."""
        admit(appends)
        with self._news:
            standing = self._standing(event for append in appends for event in append.events)
            try:
                for append in appends:
                    self._expect(append)
            except (ConcurrencyConflict, StreamClosed):
                if (first := settle(appends, standing)) is not None:
                    return first
                raise
            return settle(appends, standing) or self._write(appends)

    def check(self, event: NewEvent) -> None:
        """See `EventStore`."""
        admit_type(event)

    def import_events(self, events: Iterable[tuple[str, NewEvent]]) -> Imported:
        """See `EventStore`."""
        read = appended = refused = 0
        streams = set()
        for stream, event in events:
            admit_stream(stream)
            admit_type(event)
            read += 1
            with self._news:
                if event.id in self._ids:
                    continue
                if self._last_type(stream) in CLOSING:
                    refused += 1
                    continue
                self._write([Append(stream, [event], Expected.ANY)])
            appended += 1
            streams.add(stream)
        return Imported(read, appended, read - appended - refused, refused, len(streams))

    def tombstone(
        self, stream: str, expected: int | Expected = Expected.STREAM_EXISTS, *, actor: str | None = None
    ) -> Appended:
        """See `EventStore`."""
        with self._news:
            result = self._close(stream, TOMBSTONED, expected, actor)
            gone = {event.id for event in self._streams[stream][:-1]}
            self._log = [event for event in self._log if event.id not in gone]
            self._streams[stream] = self._streams[stream][-1:]
            for event_id in gone:
                del self._ids[event_id]
            return result

    def archive(
        self, stream: str, expected: int | Expected = Expected.STREAM_EXISTS, *, actor: str | None = None
    ) -> Appended:
        """See `EventStore`."""
        with self._news:
            return self._close(stream, ARCHIVED, expected, actor)

    def _close(self, stream: str, closing: str, expected: int | Expected, actor: str | None) -> Appended:
        admit_stream(stream)
        last_type = self._last_type(stream)
        if last_type == closing:
            last = self._streams[stream][-1]
            return Appended(stream, last.version, last.cursor)
        append = Append(stream, [NewEvent(closing, actor=actor)], expected)
        may_close = closing == TOMBSTONED and last_type == ARCHIVED
        expect(append, self.version(stream), "" if may_close else last_type)
        return self._write([append])[0]

    def _write(self, appends: Sequence[Append]) -> list[Appended]:
        refuse_within(self)
        for append in sorted(appends, key=lambda append: append.stream):
            for event in append.events:
                self._store(append.stream, event)
        self._news.notify_all()
        cursor = self._log[-1].cursor
        return [Appended(append.stream, self.version(append.stream), cursor) for append in appends]

    def _store(self, stream: str, event: NewEvent) -> None:
        before = self._streams.setdefault(stream, [])
        recorded_at = max([self._now(), *(event.recorded_at for event in before[-1:])])
        stored = StoredEvent(
            stream=stream,
            version=self.version(stream) + 1,
            cursor=Cursor(_EPOCH, 0, next(self._positions)),
            recorded_at=recorded_at,
            id=event.id,
            type=event.type,
            data=event.data,
            schema_version=event.schema_version,
            occurred_at=event.occurred_at.astimezone(UTC),
            correlation_id=event.correlation_id,
            causation_id=event.causation_id,
            actor=event.actor,
        )
        before.append(stored)
        self._log.append(stored)
        self._ids[event.id] = stored

    def _expect(self, append: Append) -> None:
        expect(append, self.version(append.stream), self._last_type(append.stream))

    def _last_type(self, stream: str) -> str:
        return self._streams[stream][-1].type if stream in self._streams else ""

    def _standing(self, events: Iterable[NewEvent]) -> dict[str, Standing]:
        found = [self._ids[event.id] for event in events if event.id in self._ids]
        return {event.id: Standing(event.stream, event.version, event.cursor) for event in found}

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
        moment = aware(as_of) if isinstance(as_of, datetime) else as_of
        last = to_version if to_version is not None else MOST
        with self._news:
            found = [
                event for event in self._streams.get(stream, []) if from_version <= event.version <= last
            ]
        yield from (event for event in _ordered(found, backwards) if _by(event, moment, clock))

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
        with self._news:
            log = list(self._log)
        for event in _ordered(log, backwards):
            inside = event.cursor > after and (until is None or event.cursor <= until)
            asked = (not types or event.type in types) and (not categories or event.category in categories)
            if inside and asked:
                yield event

    def batches(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        partition: Partition | None = None,
        limit: int = 1000,
    ) -> Iterator[Batch]:
        """See `EventStore`."""
        asked = self.read_all(after, until=until, types=types, categories=categories)
        events = (event for event in asked if partition is None or partition.holds(event.stream))
        while batch := list(itertools.islice(events, limit)):
            yield Batch(batch, batch[-1].cursor)

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
        events = self.read_all(after, until=until, types=types, categories=categories)
        return sum(1 for _ in itertools.islice(events, most))

    def subscribe(
        self,
        after: Cursor = START,
        *,
        stop: threading.Event,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        partition: Partition | None = None,
        limit: int = 1000,
        poll: float = 1.0,
    ) -> Iterator[Batch]:
        """See `EventStore`."""
        while not stop.is_set():
            seen = self.head()
            for batch in self.batches(
                after, types=types, categories=categories, partition=partition, limit=limit
            ):
                yield batch
                after = batch.cursor
                if stop.is_set():
                    return
            with self._news:
                if self.head() == seen:
                    # The order to stop wakes nobody here, so look up now and then.
                    self._news.wait(min(poll, 0.05))

    def version(self, stream: str) -> int:
        """See `EventStore`."""
        with self._news:
            return self._streams[stream][-1].version if self._streams.get(stream) else 0

    def head(self) -> Cursor:
        """See `EventStore`."""
        with self._news:
            return self._log[-1].cursor if self._log else START

    def fence_lag(self) -> FenceLag:
        """See `EventStore`; nothing is ever held back."""
        return FenceLag()

    def close(self) -> None:
        """See `EventStore`."""


def _ordered(found: Sequence[StoredEvent], backwards: bool) -> Iterator[StoredEvent]:  # noqa: FBT001 - as the port's
    return reversed(found) if backwards else iter(found)


def _by(event: StoredEvent, as_of: datetime | Cursor | None, clock: Clock) -> bool:
    if as_of is None:
        return True
    if isinstance(as_of, Cursor):
        return event.cursor <= as_of
    return (event.recorded_at if clock is Clock.RECORDED else event.occurred_at) <= as_of
