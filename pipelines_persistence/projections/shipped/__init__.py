"""The projections that come with the platform."""

from collections.abc import Mapping

from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.shipped.directly_follows import DirectlyFollows
from pipelines_persistence.projections.shipped.event_type_counts import EventTypeCounts
from pipelines_persistence.projections.shipped.ingest_history import IngestHistory
from pipelines_persistence.projections.shipped.live_entities import LiveEntities
from pipelines_persistence.projections.shipped.pipeline_board import PipelineBoard
from pipelines_persistence.projections.shipped.reasoning_timeline import ReasoningTimeline
from pipelines_persistence.projections.shipped.stream_summary import StreamSummary
from pipelines_persistence.projections.shipped.tool_usage import ToolUsage

SHIPPED: Mapping[str, type[Projection]] = {
    kind.name: kind
    for kind in (
        PipelineBoard,
        ReasoningTimeline,
        ToolUsage,
        IngestHistory,
        StreamSummary,
        EventTypeCounts,
        DirectlyFollows,
        LiveEntities,
    )
}
"""By name."""

__all__ = [
    "SHIPPED",
    "DirectlyFollows",
    "EventTypeCounts",
    "IngestHistory",
    "LiveEntities",
    "PipelineBoard",
    "ReasoningTimeline",
    "StreamSummary",
    "ToolUsage",
]
