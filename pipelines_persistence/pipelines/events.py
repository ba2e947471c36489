"""What happens in a pipeline: the events of its stream, `pipeline-<id>`, as docs/events.md describes them.

Field names are those of the JSON. Whoever changes a field raises the version of its event and writes an upcaster; a
golden file in tests/golden/events keeps each version readable.
"""

from enum import StrEnum
from typing import Annotated, Any

import msgspec

from pipelines_persistence.events import EventRegistry, Moment

registry = EventRegistry()
"""The types below."""

Ids = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class PipelineStatus(StrEnum):
    """Where a pipeline stands."""

    CREATED = "Created"
    QUEUED = "Queued"
    RUNNING = "Running"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected to happen."""
        return self in _FINAL


_FINAL = frozenset({PipelineStatus.COMPLETED, PipelineStatus.FAILED, PipelineStatus.CANCELLED})


class ReasoningKind(StrEnum):
    """The usual kinds of a reasoning step; any other text is taken as well."""

    THINKING = "Thinking"
    DRAFT = "Draft"
    CRITIQUE = "Critique"
    FINAL = "Final"


class StepStatus(StrEnum):
    """How a step of a pipeline stands."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CANCELLED = "Cancelled"


@registry.event("PipelineCreated")
class PipelineCreated(msgspec.Struct, frozen=True, gc=False):
    """A pipeline exists from now on.

    Attributes:
        name: for people; need not be unique.
        tags: what it is found by.
    """

    name: str
    tags: dict[str, str] = {}


@registry.event("PipelineStatusChanged")
class PipelineStatusChanged(msgspec.Struct, frozen=True, gc=False):
    """A pipeline has another status than before.

    Attributes:
        previous: the status before.
        reason: why, for people.
        numbers: what it has done, where it ends: documents, chunks, seconds.
    """

    status: PipelineStatus
    previous: PipelineStatus | None = None
    reason: str = ""
    numbers: dict[str, int | float] = {}


@registry.event("PipelineTagged")
class PipelineTagged(msgspec.Struct, frozen=True, gc=False):
    """Tags were added, or have another value.

    Attributes:
        tags: only those.
    """

    tags: dict[str, str]


@registry.event("PipelineUntagged")
class PipelineUntagged(msgspec.Struct, frozen=True, gc=False):
    """Tags were taken away.

    Attributes:
        keys: of the tags.
    """

    keys: Ids


class ToolExecution(msgspec.Struct, frozen=True, gc=False):
    """A tool was called.

    Attributes:
        arguments, output: any JSON.
        timestamp: when it was called.
    """

    name: str
    arguments: Any
    output: Any
    timestamp: Moment


@registry.event("ReasoningStep")
class ReasoningStep(msgspec.Struct, frozen=True, gc=False):
    """A line of reasoning has come to a state.

    Attributes:
        kind: of the state; usually a `ReasoningKind`.
        state_text: the thought, the draft, the critique, the answer itself.
        branch: which line of reasoning.
        prompt: what led to it.
        tools: what was called on the way, in order.
    """

    kind: str
    state_text: str
    branch: str = "main"
    prompt: str = ""
    tools: tuple[ToolExecution, ...] = ()


@registry.event("IngestBatch")
class IngestBatch(msgspec.Struct, frozen=True, gc=False):
    """Documents of one source were written to an index together.

    Attributes:
        source: its name in the configuration.
        ids: of the documents, at least one: "source/path".
        documents: how many.
        chunks: of these documents, in the index now.
        embedded: chunks that were sent to the model for it.
        reused: chunks whose vectors were known.
    """

    source: str
    ids: Ids
    documents: Count
    chunks: Count = 0
    embedded: Count = 0
    reused: Count = 0


@registry.event("IngestBatchFailed")
class IngestBatchFailed(msgspec.Struct, frozen=True, gc=False):
    """Documents of one source could not be indexed, all for the same reason.

    Attributes:
        source: its name in the configuration.
        ids: of the documents, at least one: "source/path".
        error_type: a stable word.
        message: for people.
    """

    source: str
    ids: Ids
    error_type: str
    message: str = ""


@registry.event("StepExecution")
class StepExecution(msgspec.Struct, frozen=True, gc=False):
    """A step of a pipeline began or ended.

    Attributes:
        finished_at: None while it runs.
        error: why it failed, for people.
    """

    name: str
    status: StepStatus
    started_at: Moment
    finished_at: Moment | None = None
    error: str = ""


@registry.event("Episode")
class Episode(msgspec.Struct, frozen=True, gc=False):
    """An agent went through an environment once, from its start to its end.

    Attributes:
        environment: its name.
        steps: how many actions it took.
        total_reward: the sum over all of them.
        metadata: any JSON object.
    """

    environment: str
    success: bool
    steps: Count
    total_reward: float = 0.0
    started_at: Moment | None = None
    finished_at: Moment | None = None
    metadata: dict[str, Any] = {}
