"""What was ingested, batch by batch, and what failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

import msgspec

from pipelines_persistence.events import TOMBSTONED, StoredEvent
from pipelines_persistence.pipelines import IngestBatch, IngestBatchFailed, registry
from pipelines_persistence.projections.declaring import Projection, on
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.tables import Table
from pipelines_persistence.repositories import Catalog, NamedSpecification, Specification, field


class Outcome(StrEnum):
    """What became of a batch."""

    WRITTEN = "written"
    FAILED = "failed"


class Batch(msgspec.Struct):
    """A batch.

    Attributes:
        stream: of the run.
        ids: of its documents.
        error_type, message: why it failed; "" where it was written.
    """

    stream: str
    version: int
    at: datetime
    source: str
    outcome: Outcome
    documents: int
    ids: list[str]
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    error_type: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class FailedBatches(NamedSpecification[Batch]):
    """Those that were not written."""

    @property
    def meaning(self) -> Specification[Batch]:
        """See `NamedSpecification`."""
        return field("outcome") == Outcome.FAILED


class IngestHistory(Projection):
    """One row for each batch that was written or failed, the newest first."""

    name = "ingest_history"
    tables = (
        Table(Batch, key=["stream", "version"], order=["-at"], indexes=[["at"], ["source"], ["outcome"]]),
    )
    by_stream = True
    registry = registry
    specifications: ClassVar[Catalog] = {"failed_batches": FailedBatches}

    @on(IngestBatch)
    def written(self, batch: IngestBatch, event: StoredEvent, models: Models) -> None:
        """Note what was written."""
        row = _row(event, batch.source, Outcome.WRITTEN, batch.ids)
        row.documents = batch.documents
        row.chunks, row.embedded, row.reused = batch.chunks, batch.embedded, batch.reused
        models[Batch].put(row)

    @on(IngestBatchFailed)
    def failed(self, batch: IngestBatchFailed, event: StoredEvent, models: Models) -> None:
        """Note what failed."""
        row = _row(event, batch.source, Outcome.FAILED, batch.ids)
        row.error_type, row.message = batch.error_type, batch.message
        models[Batch].put(row)

    @on(TOMBSTONED)
    def tombstoned(self, event: StoredEvent, models: Models) -> None:
        """Forget them: the events are gone from the log as well."""
        models[Batch].delete_all(event.stream)


def _row(event: StoredEvent, source: str, outcome: Outcome, ids: Sequence[str]) -> Batch:
    return Batch(event.stream, event.version, event.occurred_at, source, outcome, len(ids), list(ids))
