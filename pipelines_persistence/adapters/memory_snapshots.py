"""The `SnapshotStore` port in memory: for tests, and for trying something out. Nothing survives the process."""

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from pipelines_persistence.events import Cursor, Snapshot, aware


class MemorySnapshotStore:
    """See `SnapshotStore`. Safe to share between threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._snapshots: dict[tuple[str, str, int, int], Snapshot] = {}

    def latest(
        self,
        stream: str,
        aggregate_type: str,
        schema_version: int,
        *,
        max_version: int | None = None,
        as_of: Cursor | datetime | None = None,
    ) -> Snapshot | None:
        """See `SnapshotStore`."""
        moment = aware(as_of) if isinstance(as_of, datetime) else as_of
        with self._lock:
            found = [
                snapshot
                for (of, kind, schema, version), snapshot in self._snapshots.items()
                if (of, kind, schema) == (stream, aggregate_type, schema_version)
                and (max_version is None or version <= max_version)
                and _by(snapshot, moment)
            ]
        return max(found, key=lambda snapshot: snapshot.version, default=None)

    def save(self, snapshot: Snapshot) -> None:
        """See `SnapshotStore`."""
        key = (snapshot.stream, snapshot.aggregate_type, snapshot.schema_version, snapshot.version)
        with self._lock:
            self._snapshots[key] = snapshot

    def delete(self, stream: str) -> int:
        """See `SnapshotStore`."""
        return self._remove(lambda snapshot: snapshot.stream == stream)

    def delete_all(self) -> int:
        """See `SnapshotStore`."""
        return self._remove(lambda _: True)

    def prune(self, aggregate_type: str, schema_version: int, *, keep: int = 1) -> int:
        """See `SnapshotStore`."""
        with self._lock:
            held = list(self._snapshots.values())
        current = [
            one
            for one in held
            if (one.aggregate_type, one.schema_version) == (aggregate_type, schema_version)
        ]
        versions: dict[str, list[int]] = defaultdict(list)
        for one in sorted(current, key=lambda one: one.version):
            versions[one.stream].append(one.version)
        extra = {(of, version) for of, found in versions.items() for version in found[: -max(keep, 1)]}
        return self._remove(
            lambda one: (
                one.aggregate_type == aggregate_type
                and (
                    one.schema_version < schema_version
                    or (one.schema_version == schema_version and (one.stream, one.version) in extra)
                )
            )
        )

    def _remove(self, is_spent: Callable[[Snapshot], bool]) -> int:
        with self._lock:
            gone = [key for key, snapshot in self._snapshots.items() if is_spent(snapshot)]
            for key in gone:
                del self._snapshots[key]
        return len(gone)


def _by(snapshot: Snapshot, as_of: Cursor | datetime | None) -> bool:
    if isinstance(as_of, Cursor):
        return snapshot.cursor <= as_of
    return as_of is None or snapshot.recorded_at <= as_of
