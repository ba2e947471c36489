"""Snapshots: the state of an aggregate at a version, so that only the events after it are read.

They are a cache. What is missing, unreadable or of another schema version is replaced by a replay.
"""

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.events.records import Cursor


class Snapshot(msgspec.Struct, frozen=True):
    """The state of an aggregate right after one event.

    Attributes:
        stream: the aggregate's stream.
        aggregate_type: whose state it is; one stream may be read as several types.
        schema_version: of the state.
        version: of the event.
        cursor: of the event: an earlier as-of read must not begin here.
        recorded_at: of the event; as above.
        taken_at: when the snapshot was made.
        state: as JSON.
    """

    stream: str
    aggregate_type: str
    schema_version: int
    version: int
    cursor: Cursor
    recorded_at: datetime
    taken_at: datetime
    state: bytes


class SnapshotStore(Protocol):
    """Keeps snapshots.

    Every method may raise `DatabaseUnavailable` and `StorageError`; who uses snapshots goes on without them.
    """

    def latest(
        self,
        stream: str,
        aggregate_type: str,
        schema_version: int,
        *,
        max_version: int | None = None,
        as_of: Cursor | datetime | None = None,
    ) -> Snapshot | None:
        """Return the newest snapshot of a stream, type and schema version, or None.

        Args:
            stream: its id.
            aggregate_type: whose state.
            schema_version: of the state; others are not looked at.
            max_version: not after this version.
            as_of: only of what was in the log at this place, or recorded by this moment (inclusive, aware).
        """

    def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same stream, type, schema version and version is replaced."""

    def delete(self, stream: str) -> int:
        """Remove all snapshots of a stream; returns how many there were."""

    def delete_all(self) -> int:
        """Remove every snapshot; returns how many there were."""

    def prune(self, aggregate_type: str, schema_version: int, *, keep: int = 1) -> int:
        """Remove the snapshots of a type that are of older schema versions, or not among the newest of their stream.

        Those of newer schema versions stay: another process has begun to write them.

        Args:
            aggregate_type: whose state.
            schema_version: the current one.
            keep: how many of each stream stay, at least 1.

        Returns:
            How many were removed.
        """


class SnapshotPolicy(msgspec.Struct, frozen=True):
    """When a stream gets a new snapshot.

    Attributes:
        every: after so many events; None for never on their account.
        age: after any event, when the last snapshot (or, without one, the first event) is so old; None for never.

    Raises:
        ConfigurationError: one of them is not positive.
    """

    every: int | None = 100
    age: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse what would take a snapshot of nothing."""
        if (self.every is not None and self.every < 1) or (self.age is not None and self.age <= timedelta()):
            raise ConfigurationError(
                f"a snapshot every {self.every} events or {self.age}: both must be positive"
            )

    def is_due(self, events: int, since: datetime | None, now: datetime) -> bool:
        """Tell whether a stream should get a snapshot.

        Args:
            events: how many came since its last snapshot.
            since: when that was taken; without one, when the first event was recorded; None if unknown.
            now: aware.
        """
        if events < 1:
            return False
        is_long = self.every is not None and events >= self.every
        is_old = self.age is not None and since is not None and now - since >= self.age
        return is_long or is_old


NEVER = SnapshotPolicy(every=None)
"""Takes no snapshot; those that exist are still used."""
