"""Counts of one namespace, exact under threads."""

from threading import Lock

from pipelines_persistence.caching.records import Stats


class Counters:
    """Counts by name; `Stats` says what they mean."""

    __slots__ = ("_counts", "_lock")

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = dict.fromkeys(Stats.__dataclass_fields__, 0)

    def add(self, name: str) -> None:
        """Count one."""
        with self._lock:
            self._counts[name] += 1

    def stats(self) -> Stats:
        """The counts of one moment."""
        with self._lock:
            return Stats(**self._counts)
