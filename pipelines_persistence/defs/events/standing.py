"""How the log and what follows it stand: for the checks, and for the sensor that tells when one of them turns."""

from collections.abc import Sequence
from itertools import islice

import dagster as dg

from pipelines_persistence.defs.events.naming import EVENT_LOG, FENCE_LAG, LAG, read_model
from pipelines_persistence.defs.events.ports import Events
from pipelines_persistence.defs.events.presentation import PREVIEW, fence_metadata
from pipelines_persistence.events import START, EventStore, StoredEvent
from pipelines_persistence.projections import Projection


def newest(store: EventStore) -> Sequence[StoredEvent]:
    """Return the last events of the log, the last first."""
    return list(islice(store.read_all(backwards=True), PREVIEW))


def events_behind(events: Events, projection: Projection) -> int:
    """Return how many events of the log a read model has not worked in, counted to just above what a check warns of.

    Raises:
        CheckpointMoved: the build was replaced meanwhile.
    """
    build, cursor = events.models.live(projection.name), START
    if build:
        cursor = min(events.models.checkpoint(build, index).cursor for index in range(build.partitions))
    most = max(100_000, events.config.lag_warning + 1)
    return events.store.count(cursor, types=projection.taken, categories=projection.categories, most=most)


def check_lag(events: Events, name: str) -> dg.AssetCheckResult:
    """Judge how far a read model is behind."""
    behind, bound = events_behind(events, events.projection(name).projection), events.config.lag_warning
    return dg.AssetCheckResult(
        passed=behind <= bound,
        asset_key=read_model(name),
        check_name=LAG,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{behind} events behind the log, more than {bound} (`lag_warning`): materialize it, and look at the "
        "last runs if it stays so."
        if behind > bound
        else None,
        metadata={"lag/events": behind, "lag_warning": bound},
    )


def check_fence(events: Events) -> dg.AssetCheckResult:
    """Judge how long committed events have been held back."""
    fence, bound = events.store.fence_lag(), events.config.fence_warning
    return dg.AssetCheckResult(
        passed=fence.seconds <= bound,
        asset_key=EVENT_LOG,
        check_name=FENCE_LAG,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{fence.events} committed events have been held back for up to {fence.seconds:.0f} s, more than "
        f"{bound:g} (`fence_warning`): an older transaction is still open. Find it in pg_stat_activity (or in "
        "pg_prepared_xacts) and end it; no event is lost meanwhile."
        if fence.seconds > bound
        else None,
        metadata={**fence_metadata(fence), "lag/transactions": fence.transactions, "fence_warning": bound},
    )
