"""The shared level as the coordinator sees it: it answers, or it is not there. It never fails."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import TypeVar

from pipelines_persistence.caching.ports import Guard, Listener, SharedLevel
from pipelines_persistence.caching.records import Fetched, Lease, Shared
from pipelines_persistence.errors import TransientError

T = TypeVar("T")
_MOST_OWED = 10_000


def _never(_error: TransientError) -> bool:
    return False


def namespace_tag(key: str) -> str:
    """Return the tag that all keys of a namespace have."""
    return f":{key.partition(':')[0]}"


class SharedSide:
    """Fails open. An invalidation that did not get through is owed: nothing is read before it has."""

    def __init__(self, level: SharedLevel | None, guard: Guard, listener: Listener) -> None:
        """Take the level, what guards it, and who is told of changes."""
        self.level = level
        self.failures = 0
        self._guard = guard
        self._listener = listener
        self._lock = Lock()
        self._started = level is None
        self._owed: dict[str, int | None] = {}
        self._owed_tags: set[str] = set()

    def start(self) -> None:
        """Open the level when it is first needed."""
        if self._started or self.level is None:
            return
        with self._lock:
            if not self._started:
                self.level.open(self._listener)
                self._started = True

    def fetch(self, key: str, tags: Sequence[str]) -> Fetched | None:
        """See `SharedLevel`; None if it is not there."""
        return self._ask(lambda level: level.fetch(key, tags))

    def lease(self, key: str, tags: Sequence[str], token: str, seen: str) -> Lease | None:
        """See `SharedLevel`; None if it is not there."""
        return self._ask(lambda level: level.lease(key, tags, token, seen))

    def release(self, key: str, lease: Lease | None) -> None:
        """See `SharedLevel`; what is not released expires."""
        if lease is not None and lease.granted:
            self._ask(lambda level: level.release(key, lease.token))

    def store(self, key: str, value: Shared, lease: Lease | None) -> bool | None:
        """See `SharedLevel`; None if it is not there. News that did not get through is owed as an invalidation."""
        taken = self._ask(lambda level: level.store(key, value, lease))
        if taken is None and lease is None:
            self._owe(key, value.version)
        return taken

    def drop(self, key: str, version: int | None) -> None:
        """See `SharedLevel`."""
        if not self._told(lambda level: level.drop(key, version)):
            self._owe(key, version)

    def drop_tags(self, tags: Sequence[str]) -> None:
        """See `SharedLevel`."""
        if not self._told(lambda level: level.drop_tags(tags)) and self.level is not None:
            with self._lock:
                self._owed_tags.update(tags)

    def tally(self, counts: Mapping[str, int]) -> dict[str, int] | None:
        """See `SharedLevel`; None if it is not there."""
        return self._ask(lambda level: level.tally(counts))

    def close(self) -> None:
        """Close the level."""
        if self.level is not None:
            self.level.close()

    @property
    def is_started(self) -> bool:
        """Whether the level was ever needed."""
        return self._started and self.level is not None

    def _ask(self, work: Callable[[SharedLevel], T]) -> T | None:
        level = self._ready()
        if level is None:
            return None
        try:
            return self._guard.call(lambda: work(level), repeatable=_never)
        except TransientError:
            self.failures += 1  # the level has said so in the log
            return None

    def _told(self, work: Callable[[SharedLevel], None]) -> bool:
        level = self._ready()
        return level is not None and self._tell(level, work)

    def _tell(self, level: SharedLevel, work: Callable[[SharedLevel], None]) -> bool:
        try:
            self._guard.call(lambda: work(level), repeatable=_never)
        except TransientError:
            self.failures += 1
            return False
        return True

    def _ready(self) -> SharedLevel | None:
        self.start()
        level = self.level
        if level is None or not level.available:
            return None
        if (self._owed or self._owed_tags) and not self._settled(level):
            return None
        return level

    def _owe(self, key: str, version: int | None) -> None:
        if self.level is None:
            return
        with self._lock:
            if len(self._owed) < _MOST_OWED:
                self._owed[key] = version
            else:
                self._owed_tags.add(namespace_tag(key))

    def _settled(self, level: SharedLevel) -> bool:
        with self._lock:
            tags = [*self._owed_tags]
            if tags and not self._tell(level, lambda level: level.drop_tags(tags)):
                return False
            self._owed_tags.clear()
            for key, version in [*self._owed.items()]:
                if not self._tell(level, partial(_drop, key, version)):
                    return False
                del self._owed[key]
        return True


def _drop(key: str, version: int | None, level: SharedLevel) -> None:
    level.drop(key, version)
