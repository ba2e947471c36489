"""Tries a shared level out: that it answers is not enough, values have to come back and changes to be told."""

import time
from collections.abc import Sequence

from pipelines_persistence.caching.ports import SharedLevel
from pipelines_persistence.caching.records import Shared, new_stamp
from pipelines_persistence.errors import CacheUnavailable

_KEY = "trial"
_SECONDS = 60.0


class _Deaf:
    """Keeps nothing, so nothing need be told."""

    def changed(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        """See `Listener`."""

    def unknown(self) -> None:
        """See `Listener`."""


def try_out(level: SharedLevel) -> float:
    """Write a value under a key of its own, read it back and remove it; close the level in the end.

    Returns:
        Seconds that the reading took.

    Raises:
        CacheUnavailable: one of these does not work; says which, and why.
    """
    try:
        level.open(_Deaf())
        if not level.available:
            raise CacheUnavailable(level.trouble or "it does not answer in time")
        return _round_trip(level, f"{_KEY}:{new_stamp()}")
    finally:
        level.close()


def _round_trip(level: SharedLevel, key: str) -> float:
    token = new_stamp()
    tag = f":{_KEY}"
    lease = level.lease(key, [tag], token, "")
    written = Shared(b"well", None, _SECONDS, 0.0, 0.0, token, (tag,))
    if not level.store(key, written, lease):
        raise CacheUnavailable(
            "it takes no value: see that it may be written, and that nothing evicts at once"
        )
    started = time.perf_counter()
    found = level.fetch(key, [tag]).value
    seconds = time.perf_counter() - started
    level.drop(key, None)
    if found is None or found.data != written.data:
        raise CacheUnavailable(
            "it does not give back what was just written: is there more than one server behind its address?"
        )
    return seconds
