"""For any log: what each stream holds."""

from datetime import datetime

import msgspec

from pipelines_persistence.events import ARCHIVED, TOMBSTONED, StoredEvent
from pipelines_persistence.projections.declaring import Projection, on
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.tables import Table


class Stream(msgspec.Struct):
    """A stream.

    Attributes:
        events: how many it has; `version` is that of the last.
        first_at, last_at: the earliest and the latest time at which one of them occurred.
        is_archived: whether it takes no further event.
    """

    stream: str
    category: str
    events: int
    version: int
    first_type: str
    last_type: str
    first_at: datetime
    last_at: datetime
    is_archived: bool = False


class StreamSummary(Projection):
    """One row for each stream: how many events, which was the first and the last, and when."""

    name = "stream_summary"
    tables = (Table(Stream, key=["stream"], order=["-events"], indexes=[["category"]]),)
    by_stream = True

    @on()
    def happened(self, event: StoredEvent, models: Models) -> None:
        """Count."""
        streams, at = models[Stream], event.occurred_at
        row = streams.get(event.stream)
        if row is None:
            row = Stream(event.stream, event.category, 0, 0, event.type, event.type, at, at)
        row.events += 1
        row.version = event.version
        row.last_type = event.type
        row.first_at = min(row.first_at, at)
        row.last_at = max(row.last_at, at)
        row.is_archived = event.type == ARCHIVED
        streams.put(row)

    @on(TOMBSTONED)
    def tombstoned(self, event: StoredEvent, models: Models) -> None:
        """Forget it: its events are gone from the log as well."""
        models[Stream].delete(event.stream)
