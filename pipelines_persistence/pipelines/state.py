"""What follows from a pipeline's events: counts and the latest, never a list that grows with the stream."""

import msgspec
from msgspec.structs import replace

from pipelines_persistence.pipelines.events import (
    Episode,
    IngestBatch,
    IngestBatchFailed,
    PipelineCreated,
    PipelineStatus,
    PipelineStatusChanged,
    PipelineTagged,
    PipelineUntagged,
    ReasoningStep,
    StepExecution,
    StepStatus,
)


class PipelineState(msgspec.Struct, frozen=True):
    """The state of a pipeline.

    Attributes:
        reason: given with the last change of the status.
        batches: written; `documents` and `chunks` are their sums.
        failed_batches: not written; `failed_documents` is their sum.
        steps: that have ended, however; `failed_steps` of them failed.
        episodes: gone through; `successes` of them with success.
    """

    name: str = ""
    status: PipelineStatus = PipelineStatus.CREATED
    reason: str = ""
    tags: dict[str, str] = {}
    batches: int = 0
    documents: int = 0
    chunks: int = 0
    embedded: int = 0
    failed_batches: int = 0
    failed_documents: int = 0
    reasoning_steps: int = 0
    tool_executions: int = 0
    steps: int = 0
    failed_steps: int = 0
    episodes: int = 0
    successes: int = 0


def evolve(state: PipelineState, event: msgspec.Struct) -> PipelineState:
    """Return the state after an event; one that says nothing of it leaves it as it is."""
    match event:
        case IngestBatch():
            return replace(
                state,
                batches=state.batches + 1,
                documents=state.documents + event.documents,
                chunks=state.chunks + event.chunks,
                embedded=state.embedded + event.embedded,
            )
        case IngestBatchFailed():
            return replace(
                state,
                failed_batches=state.failed_batches + 1,
                failed_documents=state.failed_documents + len(event.ids),
            )
        case ReasoningStep():
            return replace(
                state,
                reasoning_steps=state.reasoning_steps + 1,
                tool_executions=state.tool_executions + len(event.tools),
            )
        case StepExecution() if event.status is not StepStatus.RUNNING:
            failed = state.failed_steps + (event.status is StepStatus.FAILED)
            return replace(state, steps=state.steps + 1, failed_steps=failed)
        case Episode():
            return replace(state, episodes=state.episodes + 1, successes=state.successes + event.success)
        case _:
            return _described(state, event)


def _described(state: PipelineState, event: msgspec.Struct) -> PipelineState:
    match event:
        case PipelineCreated():
            return replace(state, name=event.name, tags=event.tags)
        case PipelineStatusChanged():
            return replace(state, status=event.status, reason=event.reason)
        case PipelineTagged():
            return replace(state, tags=state.tags | event.tags)
        case PipelineUntagged():
            left = {key: value for key, value in state.tags.items() if key not in event.keys}
            return replace(state, tags=left)
        case _:
            return state
