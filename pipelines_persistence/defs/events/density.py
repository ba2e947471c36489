"""Whether the versions of streams are counted without holes, looked at in a bounded sample of the log."""

import random
from collections.abc import Sequence
from itertools import islice

from pipelines_persistence.events import TOMBSTONED, EventStore, Partition
from pipelines_persistence.events.records import BUCKETS

_LOOKED_AT = 500  # events at each of two places
_STREAMS = 50
_TAIL = 500  # events of a stream


def sample_of_streams(store: EventStore, chance: random.Random) -> list[str]:
    """Return up to 50 streams: half of them those of the newest events, the others from anywhere in the log."""
    share = Partition(chance.randrange(BUCKETS), BUCKETS)
    newest = islice(store.read_all(backwards=True), _LOOKED_AT)
    older = islice(store.batches(partition=share, limit=_LOOKED_AT), 1)
    found = list(dict.fromkeys(event.stream for event in newest))[: _STREAMS // 2]
    found += [event.stream for batch in older for event in batch.events]
    return list(dict.fromkeys(found))[:_STREAMS]


def hole_in(store: EventStore, stream: str) -> str:
    """Return what is wrong with the versions of a stream, "" if nothing; of a long one, its first and its last 500."""
    last = store.version(stream)
    first = max(1, last - _TAIL + 1)
    found = [event.version for event in store.read(stream, first, last)]
    expected = list(range(first, last + 1))
    if first > 1:
        found = [event.version for event in store.read(stream, 1, 1)] + found
        expected = [1, *expected]
    # Of a tombstoned stream only the last event is left; it may have come just now.
    return "" if found == expected or _is_tombstoned(store, stream) else hole(found, expected)


def hole(found: Sequence[int], expected: Sequence[int]) -> str:
    """Return in words how versions differ from those that there should be, "" if they do not."""
    missing = sorted(set(expected) - set(found))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"version {missing[0]}{more} of {expected[-1]} missing"
    return "" if list(found) == list(expected) else "versions are repeated or out of order"


def _is_tombstoned(store: EventStore, stream: str) -> bool:
    return any(event.type == TOMBSTONED for event in islice(store.read(stream, backwards=True), 1))
