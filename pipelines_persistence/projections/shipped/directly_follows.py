"""For any log: which type follows which within a stream, how often and after how long."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from pipelines_persistence.events import TOMBSTONED, StoredEvent
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.rows import Models, Rows
from pipelines_persistence.projections.tables import Table

_MICROSECOND = timedelta(microseconds=1)
_SHARE = 0.95


class Pair(msgspec.Struct):
    """Two types of which one follows the other.

    Attributes:
        count: how often.
        total_gap, mean_gap, p95_gap: seconds between their times of occurrence; negative where they came in another
            order than they occurred. The percentile is exact, interpolated as `numpy.percentile` does by default.
    """

    from_type: str
    to_type: str
    count: int = 0
    total_gap: float = 0.0
    mean_gap: float = 0.0
    p95_gap: float = 0.0


class Gap(msgspec.Struct):
    """One case of a pair: kept for the percentile. `gap` is in microseconds, `version` that of the second event."""

    from_type: str
    to_type: str
    gap: int
    stream: str
    version: int


class Last(msgspec.Struct):
    """The last event of a stream."""

    stream: str
    type: str
    at: datetime


class DirectlyFollows(Projection):
    """One row for each pair of types of which the second directly follows the first in a stream."""

    name = "directly_follows"
    tables = (
        Table(Pair, key=["from_type", "to_type"], order=["-count"]),
        Table(Gap, key=["from_type", "to_type", "gap", "stream", "version"], name="gaps"),
        Table(Last, key=["stream"], name="last"),
    )

    def project(self, events: Sequence[StoredEvent], models: Models) -> None:
        """Pair each event with the one before it, then look the percentile up for the pairs that moved."""
        last, pairs = models[Last], models[Pair]
        last.fetch((event.stream,) for event in events)
        moved: dict[tuple[str, str], Pair] = {}
        for event in events:
            if event.type == TOMBSTONED:
                last.delete(event.stream)
            elif not event.type.startswith("$"):
                if before := last.get(event.stream):
                    key = (before.type, event.type)
                    moved[key] = _follow(models, key, event, before.at)
                last.put(Last(event.stream, event.type, event.occurred_at))
        for pair in moved.values():
            pair.p95_gap = _percentile(models[Gap], pair)
            pairs.put(pair)


def _follow(models: Models, key: tuple[str, str], event: StoredEvent, before: datetime) -> Pair:
    gap = (event.occurred_at - before) // _MICROSECOND
    pair = models[Pair].get(*key) or Pair(*key)
    pair.count += 1
    pair.total_gap += gap / 1e6
    pair.mean_gap = pair.total_gap / pair.count
    models[Pair].put(pair)
    models[Gap].put(Gap(*key, gap, event.stream, event.version))
    return pair


def _percentile(gaps: Rows[Gap], pair: Pair) -> float:
    # From the end, where only one gap in twenty has to be passed over.
    rank = (pair.count - 1) * _SHARE
    below = math.floor(rank)
    offset = max(0, pair.count - 2 - below)
    found = [row.gap for row in gaps.from_end(pair.from_type, pair.to_type, offset=offset, limit=2)]
    high, low = found[0], found[-1]
    return (low + (high - low) * (rank - below)) / 1e6
