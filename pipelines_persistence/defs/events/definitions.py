"""Joins what this folder defines."""

import dagster as dg

from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.defs.events.assets import feed_specs, log_asset, projection_asset, snapshot_asset
from pipelines_persistence.defs.events.audits import log_audits, projection_audits
from pipelines_persistence.defs.events.automation import (
    events_job,
    events_schedule,
    follow_sensor,
    verification_job,
)
from pipelines_persistence.defs.events.naming import database_kind
from pipelines_persistence.defs.events.runs import runs_sensor
from pipelines_persistence.defs.events.sensors import news_sensor
from pipelines_persistence.projections.catalog import configured_projections


def event_definitions(config: EventsConfig, database_url: str = "") -> dg.Definitions:
    """Return the definitions of events; opens nothing.

    Args:
        config: what `pipelines.yaml` says of events.
        database_url: of the log; only the kind of database is taken from it.

    Raises:
        ConfigurationError: a projection cannot be made.
    """
    projections = {name: one.projection for name, one in configured_projections(config).items()}
    names, kind = list(projections), database_kind(database_url)
    audits = [*log_audits(), *(audit for name in names for audit in projection_audits(name))]
    return dg.Definitions(
        assets=[
            *feed_specs(config),
            log_asset(config, kind),
            *(projection_asset(projection, kind) for projection in projections.values()),
            snapshot_asset(kind),
        ],
        asset_checks=audits,
        jobs=[events_job(names), verification_job(names)],
        schedules=events_schedule(config, names),
        sensors=[news_sensor(names), follow_sensor(names), runs_sensor()],
    )
