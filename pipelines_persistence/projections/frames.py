"""A batch of events as a pandas DataFrame."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines_persistence.events import StoredEvent

if TYPE_CHECKING:
    import pandas as pd


def to_frame(events: Sequence[StoredEvent]) -> "pd.DataFrame":
    """Return events as a frame with a row for each, in their order.

    Columns: `stream`, `version`, `category`, `type`, `occurred_at` and `recorded_at` (datetime64[us, UTC]), `id`,
    `data` (JSON, as bytes), `schema_version`, `correlation_id`, `causation_id`, `actor`.
    """
    import pandas as pd

    frame = pd.DataFrame(
        {
            "stream": [event.stream for event in events],
            "version": [event.version for event in events],
            "category": [event.category for event in events],
            "type": [event.type for event in events],
            "occurred_at": [event.occurred_at for event in events],
            "recorded_at": [event.recorded_at for event in events],
            "id": [event.id for event in events],
            "data": [event.data for event in events],
            "schema_version": [event.schema_version for event in events],
            "correlation_id": [event.correlation_id for event in events],
            "causation_id": [event.causation_id for event in events],
            "actor": [event.actor for event in events],
        }
    )
    moments = dict.fromkeys(("occurred_at", "recorded_at"), "datetime64[us, UTC]")
    return frame.astype(moments)
