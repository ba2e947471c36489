"""Pipelines at a glance: their status, tags, counts and last activity."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import msgspec

from pipelines_persistence.events import TOMBSTONED, StoredEvent
from pipelines_persistence.pipelines import (
    IngestBatch,
    IngestBatchFailed,
    PipelineCreated,
    PipelineStatus,
    PipelineStatusChanged,
    PipelineTagged,
    PipelineUntagged,
    ReasoningStep,
    registry,
)
from pipelines_persistence.projections.declaring import Projection, on
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.shipped.ingest_history import IngestHistory
from pipelines_persistence.projections.shipped.reasoning_timeline import ReasoningTimeline
from pipelines_persistence.projections.tables import Table
from pipelines_persistence.repositories import Catalog, NamedSpecification, Relation, Specification, field


class Pipeline(msgspec.Struct):
    """A pipeline.

    Attributes:
        reason: of its last change of status.
        tags: as "key=value".
        documents, failed_documents: of all its ingest batches.
        reasoning_steps, tool_calls: of all its branches.
        last_activity: when its last event occurred, whatever it was.
    """

    stream: str
    name: str
    status: str
    created_at: datetime
    last_activity: datetime
    last_event: str
    reason: str = ""
    tags: list[str] = []
    events: int = 0
    batches: int = 0
    documents: int = 0
    failed_documents: int = 0
    reasoning_steps: int = 0
    tool_calls: int = 0


@dataclass(frozen=True, slots=True)
class ActivePipelines(NamedSpecification[Pipeline]):
    """Those of which more is expected to happen."""

    @property
    def meaning(self) -> Specification[Pipeline]:
        """See `NamedSpecification`."""
        return field("status").in_(status for status in PipelineStatus if not status.is_final)


@dataclass(frozen=True, slots=True)
class FailedPipelines(NamedSpecification[Pipeline]):
    """Those that failed, as a whole or with some of their documents."""

    @property
    def meaning(self) -> Specification[Pipeline]:
        """See `NamedSpecification`."""
        return (field("status") == PipelineStatus.FAILED) | (field("failed_documents") > 0)


@dataclass(frozen=True, slots=True)
class PipelinesByTag(NamedSpecification[Pipeline]):
    """Those that have a tag with this value."""

    key: str
    value: str

    @property
    def meaning(self) -> Specification[Pipeline]:
        """See `NamedSpecification`."""
        return field("tags").contains(f"{self.key}={self.value}")


@dataclass(frozen=True, slots=True)
class PipelinesUpdatedSince(NamedSpecification[Pipeline]):
    """Those of which something has happened at a moment or after it."""

    moment: datetime

    @property
    def meaning(self) -> Specification[Pipeline]:
        """See `NamedSpecification`."""
        return field("last_activity") >= self.moment


REASONING_STEPS = Relation(
    "reasoning_steps", ReasoningTimeline.tables[0], by={"stream": "stream"}, source=ReasoningTimeline.name
)
BATCHES = Relation("batches", IngestHistory.tables[0], by={"stream": "stream"}, source=IngestHistory.name)


class PipelineBoard(Projection):
    """One row for each pipeline. Events of other types count where their stream is a pipeline's."""

    name = "pipeline_board"
    tables = (
        Table(Pipeline, key=["stream"], order=["-last_activity"], indexes=[["status"], ["last_activity"]]),
    )
    by_stream = True
    registry = registry
    specifications: ClassVar[Catalog] = {
        "active_pipelines": ActivePipelines,
        "failed_pipelines": FailedPipelines,
        "pipelines_by_tag": PipelinesByTag,
        "pipelines_updated_since": PipelinesUpdatedSince,
    }
    relations = (REASONING_STEPS, BATCHES)

    @on(PipelineCreated)
    def created(self, created: PipelineCreated, event: StoredEvent, models: Models) -> None:
        """Put it on the board."""
        row = self._touch(event, models)
        row.name, row.created_at = created.name, event.occurred_at
        row.tags = _joined(created.tags)

    @on(PipelineStatusChanged)
    def status_changed(self, changed: PipelineStatusChanged, event: StoredEvent, models: Models) -> None:
        """Show its status."""
        row = self._touch(event, models)
        row.status, row.reason = str(changed.status), changed.reason

    @on(PipelineTagged)
    def tagged(self, tagged: PipelineTagged, event: StoredEvent, models: Models) -> None:
        """Add tags, or change their values."""
        row = self._touch(event, models)
        row.tags = _joined(dict(tag.split("=", 1) for tag in row.tags) | tagged.tags)

    @on(PipelineUntagged)
    def untagged(self, untagged: PipelineUntagged, event: StoredEvent, models: Models) -> None:
        """Take tags away."""
        row = self._touch(event, models)
        row.tags = [tag for tag in row.tags if tag.split("=", 1)[0] not in untagged.keys]

    @on(ReasoningStep)
    def reasoned(self, step: ReasoningStep, event: StoredEvent, models: Models) -> None:
        """Count."""
        row = self._touch(event, models)
        row.reasoning_steps += 1
        row.tool_calls += len(step.tools)

    @on(IngestBatch)
    def ingested(self, batch: IngestBatch, event: StoredEvent, models: Models) -> None:
        """Count."""
        row = self._touch(event, models)
        row.batches += 1
        row.documents += batch.documents

    @on(IngestBatchFailed)
    def failed(self, batch: IngestBatchFailed, event: StoredEvent, models: Models) -> None:
        """Count."""
        self._touch(event, models).failed_documents += len(batch.ids)

    @on(TOMBSTONED)
    def tombstoned(self, event: StoredEvent, models: Models) -> None:
        """Forget it: its events are gone from the log as well."""
        models[Pipeline].delete(event.stream)

    @on()
    def happened(self, event: StoredEvent, models: Models) -> None:
        """Note that it lives."""
        if models[Pipeline].get(event.stream):
            self._touch(event, models)

    def _touch(self, event: StoredEvent, models: Models) -> Pipeline:
        """Return the row of an event's pipeline, put back already; what is changed now is kept as well."""
        at = event.occurred_at
        row = models[Pipeline].get(event.stream)
        if row is None:
            row = Pipeline(event.stream, "", str(PipelineStatus.CREATED), at, at, event.type)
        row.events += 1
        row.last_activity, row.last_event = max(at, row.last_activity), event.type
        models[Pipeline].put(row)
        return row


def _joined(tags: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(tags.items())]
