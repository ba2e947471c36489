"""The projections that come with the platform."""

from collections.abc import Mapping

from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.shipped.directly_follows import DirectlyFollows
from pipelines_persistence.projections.shipped.event_type_counts import EventTypeCounts
from pipelines_persistence.projections.shipped.live_entities import LiveEntities
from pipelines_persistence.projections.shipped.stream_summary import StreamSummary

SHIPPED: Mapping[str, type[Projection]] = {
    kind.name: kind for kind in (StreamSummary, EventTypeCounts, DirectlyFollows, LiveEntities)
}
"""By name."""

__all__ = ["SHIPPED", "DirectlyFollows", "EventTypeCounts", "LiveEntities", "StreamSummary"]
