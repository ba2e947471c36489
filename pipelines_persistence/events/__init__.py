"""Event streams: what an event is, how it is appended, and the store that keeps it. No driver, no Dagster."""

from pipelines_persistence.events.appending import Append, Appended, Expected, Imported
from pipelines_persistence.events.codec import Moment, check, decode, encode
from pipelines_persistence.events.ports import Batch, Clock, EventStore, FenceLag
from pipelines_persistence.events.records import (
    ARCHIVED,
    START,
    TOMBSTONED,
    Cursor,
    NewEvent,
    StoredEvent,
    aware,
    category_of,
    new_id,
)

__all__ = [
    "ARCHIVED",
    "START",
    "TOMBSTONED",
    "Append",
    "Appended",
    "Batch",
    "Clock",
    "Cursor",
    "EventStore",
    "Expected",
    "FenceLag",
    "Imported",
    "Moment",
    "NewEvent",
    "StoredEvent",
    "aware",
    "category_of",
    "check",
    "decode",
    "encode",
    "new_id",
]
