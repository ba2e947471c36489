"""What pipelines thought, step by step."""

from datetime import datetime

import msgspec

from pipelines_persistence.events import TOMBSTONED, StoredEvent
from pipelines_persistence.pipelines import ReasoningStep, registry
from pipelines_persistence.projections.declaring import Projection, on
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.tables import Table


class Thought(msgspec.Struct):
    """A step.

    Attributes:
        version: its place in the stream.
        tools: names of what was called, in order.
    """

    stream: str
    version: int
    branch: str
    kind: str
    state_text: str
    prompt: str
    tools: list[str]
    at: datetime


class ReasoningTimeline(Projection):
    """One row for each step of reasoning, in the order of its stream."""

    name = "reasoning_timeline"
    tables = (Table(Thought, key=["stream", "version"], indexes=[["at"], ["kind"]]),)
    by_stream = True
    registry = registry

    @on(ReasoningStep)
    def reasoned(self, step: ReasoningStep, event: StoredEvent, models: Models) -> None:
        """Note the step."""
        tools = [tool.name for tool in step.tools]
        models[Thought].put(
            Thought(
                event.stream,
                event.version,
                step.branch,
                step.kind,
                step.state_text,
                step.prompt,
                tools,
                event.occurred_at,
            )
        )

    @on(TOMBSTONED)
    def tombstoned(self, event: StoredEvent, models: Models) -> None:
        """Forget them: the events are gone from the log as well."""
        models[Thought].delete_all(event.stream)
