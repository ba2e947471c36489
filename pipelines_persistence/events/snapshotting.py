"""Uses snapshots such that they are never needed: what goes wrong with them is logged, and a replay takes their place."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from pipelines_persistence.events.aggregates import Aggregate, Mark
from pipelines_persistence.events.codec import encode
from pipelines_persistence.events.ports import EventStore
from pipelines_persistence.events.records import Cursor, StoredEvent
from pipelines_persistence.events.snapshots import Snapshot, SnapshotPolicy, SnapshotStore

_log = logging.getLogger(__name__)


class Snapshotting:
    """The snapshots of one type of aggregate."""

    def __init__(
        self,
        snapshots: SnapshotStore | None,
        kind: type[Aggregate[Any]],
        policy: SnapshotPolicy,
        clock: Callable[[], datetime],
    ) -> None:
        """Take where they are kept (None: nowhere), whose they are, when one is due, and what tells the time."""
        self._snapshots = snapshots
        self._kind = kind
        self._policy = policy
        self._clock = clock
        self._decode: Callable[[bytes], msgspec.Struct] = msgspec.json.Decoder(type(kind.initial())).decode

    def latest(
        self, stream: str, version: int | None = None, as_of: datetime | Cursor | None = None
    ) -> Snapshot | None:
        """Return the newest snapshot that may stand for the events up to a version, place or moment."""
        if self._snapshots is None:
            return None
        try:
            return self._snapshots.latest(
                stream, self._kind.__name__, self._kind.state_version, max_version=version, as_of=as_of
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, a replay does without
            _log.warning("the snapshots of %r cannot be read (%s): it is replayed", stream, error)
            return None

    def state(self, snapshot: Snapshot) -> msgspec.Struct | None:
        """Return the state of a snapshot; None where it cannot be read."""
        try:
            return self._decode(snapshot.state)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.warning(
                "the snapshot of %r at version %d is no %s (%s): it is replayed. "
                "If the state was changed, raise state_version",
                snapshot.stream, snapshot.version, self._kind.__name__, error,
            )  # fmt: skip
            return None

    def is_due(self, version: int, mark: Mark) -> bool:
        """Tell whether a stream at a version should get a new snapshot."""
        return self._snapshots is not None and self._policy.is_due(
            version - mark.version, mark.since, self._clock()
        )

    def mark(self, first: StoredEvent) -> Mark:
        """Return how far the snapshots of a stream reach, by its first event."""
        snapshot = self.latest(first.stream)
        return Mark(snapshot.version, snapshot.taken_at) if snapshot else Mark(0, first.recorded_at)

    def take(self, store: EventStore, aggregate: Aggregate[Any]) -> None:
        """Write a snapshot of an aggregate that has nothing uncommitted.

        Raises:
            PipelinesError: it cannot be written.
        """
        anchor = next(store.read(aggregate.stream, aggregate.version, aggregate.version), None)
        if self._snapshots is None or anchor is None:  # tombstoned in the meantime
            return
        now = self._clock()
        self._snapshots.save(
            Snapshot(
                stream=aggregate.stream,
                aggregate_type=self._kind.__name__,
                schema_version=self._kind.state_version,
                version=anchor.version,
                cursor=anchor.cursor,
                recorded_at=anchor.recorded_at,
                taken_at=now,
                state=encode(aggregate.state),
            )
        )
        aggregate.mark = Mark(anchor.version, now)

    def take_if_due(self, store: EventStore, aggregate: Aggregate[Any]) -> None:
        """Write a snapshot after a save, if the policy says so; what was saved stays saved, whatever happens here."""
        if self.is_due(aggregate.version, aggregate.mark):
            try:
                self.take(store, aggregate)
            except Exception as error:  # noqa: BLE001 - as in `latest`
                _log.warning("no snapshot of %r was taken: %s", aggregate.stream, error)

    def forget(self, stream: str) -> None:
        """Remove the snapshots of a stream that is gone."""
        try:
            removed = self._snapshots.delete(stream) if self._snapshots else 0
        except Exception as error:  # noqa: BLE001 - as in `latest`
            _log.warning("the snapshots of %r cannot be removed: %s", stream, error)
        else:
            if removed:
                _log.info("%d snapshots of %r were removed, for its events are gone", removed, stream)
