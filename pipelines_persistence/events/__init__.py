"""Event streams: what an event is, how it is appended, and the store that keeps it. No driver, no Dagster."""

from pipelines_persistence.events.aggregates import Aggregate
from pipelines_persistence.events.appending import Append, Appended, Expected, Imported
from pipelines_persistence.events.codec import Moment, check, decode, encode
from pipelines_persistence.events.ports import Batch, Clock, EventStore, FenceLag
from pipelines_persistence.events.records import (
    ARCHIVED,
    START,
    TOMBSTONED,
    Cursor,
    NewEvent,
    Partition,
    StoredEvent,
    aware,
    bucket_of,
    category_of,
    new_id,
)
from pipelines_persistence.events.registry import EventRegistry, UnknownEvent
from pipelines_persistence.events.repository import AggregateRepository, SnapshotCounts
from pipelines_persistence.events.snapshots import NEVER, Snapshot, SnapshotPolicy, SnapshotStore

__all__ = [
    "ARCHIVED",
    "NEVER",
    "START",
    "TOMBSTONED",
    "Aggregate",
    "AggregateRepository",
    "Append",
    "Appended",
    "Batch",
    "Clock",
    "Cursor",
    "EventRegistry",
    "EventStore",
    "Expected",
    "FenceLag",
    "Imported",
    "Moment",
    "NewEvent",
    "Partition",
    "Snapshot",
    "SnapshotCounts",
    "SnapshotPolicy",
    "SnapshotStore",
    "StoredEvent",
    "UnknownEvent",
    "aware",
    "bucket_of",
    "category_of",
    "check",
    "decode",
    "encode",
    "new_id",
]
