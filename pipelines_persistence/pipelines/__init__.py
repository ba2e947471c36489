"""The domain that the events speak of: pipelines, what they think, what they ingest, how they end."""

from pipelines_persistence.pipelines.aggregate import PipelineAggregate
from pipelines_persistence.pipelines.events import (
    Episode,
    IngestBatch,
    IngestBatchFailed,
    PipelineCreated,
    PipelineStatus,
    PipelineStatusChanged,
    PipelineTagged,
    PipelineUntagged,
    ReasoningKind,
    ReasoningStep,
    StepExecution,
    StepStatus,
    ToolExecution,
    registry,
)
from pipelines_persistence.pipelines.recording import PipelineRecorder
from pipelines_persistence.pipelines.state import PipelineState

__all__ = [
    "Episode",
    "IngestBatch",
    "IngestBatchFailed",
    "PipelineAggregate",
    "PipelineCreated",
    "PipelineRecorder",
    "PipelineState",
    "PipelineStatus",
    "PipelineStatusChanged",
    "PipelineTagged",
    "PipelineUntagged",
    "ReasoningKind",
    "ReasoningStep",
    "StepExecution",
    "StepStatus",
    "ToolExecution",
    "registry",
]
