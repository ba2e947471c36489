"""Which tools pipelines use, and how often."""

from datetime import datetime

import msgspec

from pipelines_persistence.events import StoredEvent
from pipelines_persistence.pipelines import ReasoningStep, registry
from pipelines_persistence.projections.declaring import Projection, on
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.tables import Table


class Tool(msgspec.Struct):
    """A tool.

    Attributes:
        calls: how often it was called; those of streams that were tombstoned count until the next rebuild.
        first_at, last_at: the earliest and the latest call.
        last_stream: the pipeline of the call that was recorded last.
    """

    tool: str
    calls: int
    first_at: datetime
    last_at: datetime
    last_stream: str


class ToolUsage(Projection):
    """One row for each tool that was called in a step of reasoning."""

    name = "tool_usage"
    tables = (Table(Tool, key=["tool"], order=["-calls"]),)
    registry = registry

    @on(ReasoningStep)
    def reasoned(self, step: ReasoningStep, event: StoredEvent, models: Models) -> None:
        """Count the calls."""
        for call in step.tools:
            at = call.timestamp
            row = models[Tool].get(call.name) or Tool(call.name, 0, at, at, event.stream)
            row.calls += 1
            row.first_at, row.last_at = min(row.first_at, at), max(row.last_at, at)
            row.last_stream = event.stream
            models[Tool].put(row)
