"""What was ingested, batch by batch, and what failed."""

from datetime import datetime
from enum import StrEnum

import msgspec

from pipelines_persistence.events import TOMBSTONED, StoredEvent
from pipelines_persistence.pipelines import IngestBatch, IngestBatchFailed, registry
from pipelines_persistence.projections.declaring import Projection, on
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.tables import Table


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
    chunks: int
    embedded: int
    reused: int
    error_type: str
    message: str
    ids: list[str]


class IngestHistory(Projection):
    """One row for each batch that was written or failed, the newest first."""

    name = "ingest_history"
    tables = (
        Table(Batch, key=["stream", "version"], order=["-at"], indexes=[["at"], ["source"], ["outcome"]]),
    )
    by_stream = True
    registry = registry

    @on(IngestBatch)
    def written(self, batch: IngestBatch, event: StoredEvent, models: Models) -> None:
        """Note what was written."""
        models[Batch].put(
            Batch(
                stream=event.stream,
                version=event.version,
                at=event.occurred_at,
                source=batch.source,
                outcome=Outcome.WRITTEN,
                documents=batch.documents,
                chunks=batch.chunks,
                embedded=batch.embedded,
                reused=batch.reused,
                error_type="",
                message="",
                ids=list(batch.ids),
            )
        )

    @on(IngestBatchFailed)
    def failed(self, batch: IngestBatchFailed, event: StoredEvent, models: Models) -> None:
        """Note what failed."""
        models[Batch].put(
            Batch(
                stream=event.stream,
                version=event.version,
                at=event.occurred_at,
                source=batch.source,
                outcome=Outcome.FAILED,
                documents=len(batch.ids),
                chunks=0,
                embedded=0,
                reused=0,
                error_type=batch.error_type,
                message=batch.message,
                ids=list(batch.ids),
            )
        )

    @on(TOMBSTONED)
    def tombstoned(self, event: StoredEvent, models: Models) -> None:
        """Forget them: the events are gone from the log as well."""
        models[Batch].delete_all(event.stream)
