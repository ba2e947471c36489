"""Loads aggregates from their streams and saves what they recorded."""

import itertools
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from pipelines_persistence.errors import AggregateNotFound, PermanentError
from pipelines_persistence.events.aggregates import Aggregate, Mark
from pipelines_persistence.events.appending import Appended
from pipelines_persistence.events.ports import Clock, EventStore
from pipelines_persistence.events.records import TOMBSTONED, Cursor, StoredEvent, aware
from pipelines_persistence.events.registry import EventRegistry
from pipelines_persistence.events.snapshots import SnapshotPolicy, SnapshotStore
from pipelines_persistence.events.snapshotting import Snapshotting

A = TypeVar("A", bound=Aggregate[Any])
_USUAL = SnapshotPolicy()
_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class SnapshotCounts(msgspec.Struct, frozen=True):
    """What `take_snapshots` did.

    Attributes:
        streams: that were looked at; the sum of the others.
        taken: got a new snapshot.
        skipped: needed none.
        failed: could not be read or written; the log says why.
    """

    streams: int = 0
    taken: int = 0
    skipped: int = 0
    failed: int = 0


class AggregateRepository(Generic[A]):
    """The aggregates of one type in an event store. Safe to share between threads; an aggregate is not."""

    def __init__(
        self,
        store: EventStore,
        snapshots: SnapshotStore | None,
        kind: type[A],
        *,
        registry: EventRegistry,
        policy: SnapshotPolicy = _USUAL,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """Take what it works with.

        Args:
            store: holds the streams.
            snapshots: shortens loading; None for none.
            kind: the type of aggregate.
            registry: knows the events.
            policy: when `save` and `take_snapshots` make a snapshot.
            clock: tells the time, aware; decides on the age of snapshots.
        """
        self._store = store
        self._kind = kind
        self._registry = registry
        self._snapshotting = Snapshotting(snapshots, kind, policy, clock)

    def load(
        self,
        id: str,  # noqa: A002 - the aggregate's own word
        *,
        version: int | None = None,
        as_of: datetime | Cursor | None = None,
        clock: Clock = Clock.RECORDED,
    ) -> A:
        """Return an aggregate, as it is or as it was.

        Args:
            id: what identifies it within its category.
            version: not after this version.
            as_of: as the log held it up to this place or moment (inclusive, aware).
            clock: for a moment, which time: see `EventStore.read`. OCCURRED shows a past that can only be read.

        Raises:
            AggregateNotFound: there is none, or was none then.
            EventRefused, EventTooNew: an event cannot be decoded.
            DatabaseUnavailable, StorageError: see there.
        """
        moment = aware(as_of) if isinstance(as_of, datetime) else as_of
        is_prefix = clock is Clock.RECORDED or not isinstance(moment, datetime)
        stream = self._kind.stream_of(id)
        aggregate = self._from_snapshot(id, version, moment) if is_prefix else None
        if aggregate is None:
            events = self._store.read(stream, 1, version, as_of=moment, clock=clock)
            aggregate = self._replay(self._kind(id), events)
        if aggregate.version == 0:
            when = "" if version is None and moment is None else " at that version or moment"
            raise AggregateNotFound(stream, f"has no event{when}: check the id {id!r}")
        if not is_prefix:
            aggregate.seal(
                f"{stream!r} was loaded as it had occurred by {moment}: load it as it is to change it"
            )
        return aggregate

    def save(
        self,
        aggregate: A,
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        actor: str | None = None,
    ) -> Appended | None:
        """Append what an aggregate recorded, all or none; then take a snapshot if the policy says so.

        After `DatabaseUnavailable`, which leaves open whether it stands, save again before anything else is recorded:
        the events keep their ids, so that none is written twice.

        Returns:
            Where the events stand; None if there were none.

        Raises:
            ConcurrencyConflict: someone else appended to the stream: load it and decide again.
            StreamClosed: the stream was tombstoned or archived.
            EventRefused: an event is of no registered type or malformed.
            DatabaseUnavailable, StorageError: see there.
        """
        recorded = aggregate.uncommitted
        if not recorded:
            return None
        events = [
            self._registry.encode(
                one.event,
                id=one.id,
                occurred_at=one.occurred_at,
                correlation_id=correlation_id,
                causation_id=causation_id,
                actor=actor,
            )
            for one in recorded
        ]
        appended = self._store.append(aggregate.stream, events, aggregate.committed_version)
        aggregate.commit()
        self._snapshotting.take_if_due(self._store, aggregate)
        return appended

    def take_snapshots(self) -> SnapshotCounts:
        """Bring the snapshots of all streams of the category up to the policy, in bounded memory.

        A stream that cannot be read, or whose snapshot cannot be written, is logged and counted; the others go on.
        Snapshots of tombstoned streams are removed.

        Raises:
            DatabaseUnavailable: the database does not answer; what was taken is kept.
        """
        taken = skipped = failed = 0
        for event in self._store.read_all(categories=[self._kind.category]):
            if event.type == TOMBSTONED:
                self._snapshotting.forget(event.stream)
            elif event.version == 1:  # each stream has exactly one
                try:
                    is_taken = self._take_snapshot(event)
                except PermanentError as error:
                    failed += 1
                    _log.warning("no snapshot of %r was taken: %s", event.stream, error)
                else:
                    taken, skipped = taken + is_taken, skipped + (not is_taken)
        return SnapshotCounts(taken + skipped + failed, taken, skipped, failed)

    def _take_snapshot(self, first: StoredEvent) -> bool:
        if not self._snapshotting.is_due(self._store.version(first.stream), self._snapshotting.mark(first)):
            return False
        aggregate = self.load(first.stream.removeprefix(f"{self._kind.category}-"))
        self._snapshotting.take(self._store, aggregate)
        return True

    def _from_snapshot(
        self,
        id: str,  # noqa: A002 - as above
        version: int | None,
        as_of: datetime | Cursor | None,
    ) -> A | None:
        """Continue from the newest snapshot that fits; None if there is none, or if it is not of this stream's life."""
        stream = self._kind.stream_of(id)
        snapshot = self._snapshotting.latest(stream, version, as_of)
        state = self._snapshotting.state(snapshot) if snapshot else None
        if snapshot is None or state is None:
            return None
        # Its event is read again: gone from a stream that was tombstoned, another one where a backup was restored.
        events = self._store.read(stream, snapshot.version, version, as_of=as_of)
        anchor = next(events, None)
        if anchor is None or (anchor.version, anchor.cursor) != (snapshot.version, snapshot.cursor):
            self._snapshotting.forget(stream)
            return None
        aggregate = self._replay(self._kind(id, state, snapshot.version), events)
        aggregate.mark = Mark(snapshot.version, snapshot.taken_at)
        return aggregate

    def _replay(self, aggregate: A, events: Iterator[StoredEvent]) -> A:
        first = next(events, None)
        if first is None:
            return aggregate
        aggregate.mark = Mark(0, first.recorded_at)
        return aggregate.replay(self._history(itertools.chain([first], events)))

    def _history(self, events: Iterator[StoredEvent]) -> Iterator[tuple[int, msgspec.Struct]]:
        decode = self._registry.decode
        for event in events:
            if event.type == TOMBSTONED:
                raise AggregateNotFound(event.stream, "was tombstoned: what it held is gone for good")
            yield event.version, decode(event)
