"""What the platform needs of an event store."""

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from pipelines_persistence.events.appending import Append, Appended, Expected, Imported
from pipelines_persistence.events.records import START, Cursor, NewEvent, Partition, StoredEvent


class Clock(StrEnum):
    """Which of an event's two times is meant."""

    RECORDED = "recorded"
    OCCURRED = "occurred"


class Batch(msgspec.Struct, frozen=True):
    """Some events of the log, in its order.

    Attributes:
        events: at least one.
        cursor: where to go on; may lie behind the last event, over others that were not asked for.
    """

    events: list[StoredEvent]
    cursor: Cursor


class FenceLag(msgspec.Struct, frozen=True):
    """How much is committed but not yet shown, for a transaction that began before it is still open.

    Attributes:
        events: how many are held back.
        transactions: how far the oldest open one lies behind the newest.
        seconds: how long the oldest event has been held back.
    """

    events: int = 0
    transactions: int = 0
    seconds: float = 0.0


class EventStore(Protocol):
    """Streams of events in one log.

    Every method may raise `DatabaseUnavailable` (the same call may succeed later, and is safe to repeat) and
    `StorageError` (something has to be changed first).
    """

    def append(self, stream: str, events: Sequence[NewEvent], expected: int | Expected) -> Appended:
        """Append events to a stream, all or none.

        Repeating a call that has succeeded, with the same event ids, returns the first result again.

        Raises:
            ConcurrencyConflict: the stream is not at the expected version.
            StreamClosed: the stream was tombstoned or archived.
            EventRefused: an argument is malformed, or an event id is taken.
        """

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """Append to several streams, all or none; see `append`."""

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
        """Walk a stream in the order of its versions, in bounded memory; a stream that is not there is empty.

        Args:
            stream: its id.
            from_version: the first one, inclusive.
            to_version: the last one, inclusive; by default all there are.
            as_of: only what the log held up to this place or moment (inclusive, aware).
            clock: for a moment, which time: RECORDED gives what was known then, a prefix of the stream; OCCURRED
                what had happened by then as it is known now, which may leave versions out.
            backwards: from the last to the first.
        """

    def read_all(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        backwards: bool = False,
    ) -> Iterator[StoredEvent]:
        """Walk the log, in bounded memory, to where it ends when the walk gets there.

        No event that is committed later ever takes a place before one that was shown; a stream's events come in the
        order of their versions.

        Args:
            after: exclusive.
            until: inclusive; by default all there are.
            types: only events of these types; all where empty.
            categories: only events of streams of these categories; all where empty.
            backwards: from the last to the first.
        """

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
        """Walk the log as `read_all` does, up to `limit` events at a time; with `partition` only its streams."""

    def count(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        most: int = 100_000,
    ) -> int:
        """Return how many events `read_all` would show; it counts up to `most`, for counting is reading."""

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
        """Walk the log and wait at its end for more, until `stop` is set.

        Args:
            after: exclusive.
            stop: ends the walk within a tenth of a second, whatever it waits for.
            types: only events of these types; all where empty.
            categories: only events of streams of these categories; all where empty.
            partition: only events of its streams.
            limit: events in a batch, at most.
            poll: seconds between two looks, at most; a writer's notification comes sooner where there is one.
        """

    def check(self, event: NewEvent) -> None:
        """Refuse an event that no append would take, whatever its stream.

        Raises:
            EventRefused: with what is wrong.
        """

    def import_events(self, events: Iterable[tuple[str, NewEvent]]) -> Imported:
        """Append (stream, event) pairs in bulk, in their order, to whatever version their streams have.

        An event whose id the log has is left out, so an import that broke off is simply repeated; parts of it may
        stand.

        Raises:
            EventRefused: an argument is malformed.
        """

    def tombstone(
        self, stream: str, expected: int | Expected = Expected.STREAM_EXISTS, *, actor: str | None = None
    ) -> Appended:
        """Remove a stream's events for good and close it; one event of type `TOMBSTONED` stays, for projections.

        Raises:
            ConcurrencyConflict: the stream is not at the expected version.
        """

    def archive(
        self, stream: str, expected: int | Expected = Expected.STREAM_EXISTS, *, actor: str | None = None
    ) -> Appended:
        """Close a stream with an event of type `ARCHIVED`; it stays readable, and replays see it as before.

        Raises:
            ConcurrencyConflict: the stream is not at the expected version.
            StreamClosed: the stream was tombstoned.
        """

    def version(self, stream: str) -> int:
        """Return the version of a stream's last event, 0 where there is none."""

    def head(self) -> Cursor:
        """Return the place of the last event that `read_all` shows; moves only when events do."""

    def fence_lag(self) -> FenceLag:
        """Return how much `read_all` holds back, and for how long."""

    def close(self) -> None:
        """Let go of the store; safe to call twice."""
