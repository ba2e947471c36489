"""Counts of one namespace, exact under threads."""

from threading import Lock

from pipelines_persistence.caching.records import Stats


class Counters:
    """Counts by name; `Stats` says what they mean."""

    __slots__ = ("_counts", "_lock", "_told")

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = dict.fromkeys(Stats.__dataclass_fields__, 0)
        self._told = dict(self._counts)

    def add(self, name: str) -> None:
        """Count one."""
        with self._lock:
            self._counts[name] += 1

    def stats(self) -> Stats:
        """The counts of one moment."""
        with self._lock:
            return Stats(**self._counts)

    def untold(self) -> dict[str, int]:
        """What was counted since it was told to the shared level; without zeros."""
        with self._lock:
            news = {name: count - self._told[name] for name, count in self._counts.items()}
        return {name: count for name, count in news.items() if count}

    def tell(self, news: dict[str, int]) -> None:
        """Take note of what the shared level knows now."""
        with self._lock:
            for name, count in news.items():
                self._told[name] += count
