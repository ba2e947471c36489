"""For any log: how often each type of event came."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from pipelines_persistence.events import StoredEvent
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.tables import Table


class EventType(msgspec.Struct):
    """A type of events.

    Attributes:
        events: how many there were.
        first_at, last_at: the earliest and the latest time at which one occurred.
    """

    type: str
    events: int
    first_at: datetime
    last_at: datetime


class EventTypeCounts(Projection):
    """One row for each type of event: how many, and when. Events that were tombstoned count until the next rebuild."""

    name = "event_type_counts"
    tables = (Table(EventType, key=["type"], order=["-events"]),)

    def project(self, events: Sequence[StoredEvent], models: Models) -> None:
        """Count a batch by type first: there are few types, and many events."""
        moments: dict[str, list[datetime]] = {}
        for event in events:
            if not event.type.startswith("$"):
                moments.setdefault(event.type, []).append(event.occurred_at)
        types = models[EventType]
        types.fetch((name,) for name in moments)
        for name, times in moments.items():
            first, last = min(times), max(times)
            row = types.get(name) or EventType(name, 0, first, last)
            row.events += len(times)
            row.first_at, row.last_at = min(row.first_at, first), max(row.last_at, last)
            types.put(row)
