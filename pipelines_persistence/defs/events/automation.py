"""When the parts of events run: the job, its schedule, and what follows the log by itself."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.defs.events.naming import (
    AUTOMATION_SENSOR,
    DEAD,
    DENSE,
    EVENT_LOG,
    FENCE_LAG,
    FOLLOWS,
    JOB,
    LAG,
    REJECTED,
    REPLAY,
    SCHEDULE,
    SNAPSHOTS,
    VERIFICATION_JOB,
    read_model,
)

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

TICK = 30
"""Seconds between two looks of a sensor, at least."""

_NIGHTLY = "30 4 * * *"
_HOURLY = "0 * * * *"

Condition = dg.AutomationCondition


def when_events_moved() -> dg.AutomationCondition:
    """Return the condition of a read model: run once when the log has moved, or the projection is new or was changed.

    Only a request settles news, and not a run that happened to end meanwhile: it may have looked at the log before they
    came. A run that brings the log and the read model in step by itself brings no news.
    """
    handled = Condition.newly_requested() | Condition.newly_updated()
    changed = (Condition.newly_missing() | Condition.code_version_changed()).since(handled)
    due = _news().since(Condition.newly_requested()) | changed
    return (due & ~Condition.any_deps_missing() & ~Condition.in_progress()).with_label("events have moved")


def once_an_hour_if_moved() -> dg.AutomationCondition:
    """Return the condition of what need not follow at once."""
    due = _news().since(Condition.newly_requested()) & Condition.cron_tick_passed(_HOURLY)
    return (due & ~Condition.in_progress()).with_label("once an hour, if events have moved")


def once_a_day_if_moved() -> dg.AutomationCondition:
    """Return the condition of a check that costs more than a look; such a check does not run with its asset."""
    moved = Condition.any_deps_match(Condition.data_version_changed()).since(Condition.newly_requested())
    return (moved & Condition.cron_tick_passed(_NIGHTLY)).with_label("once a day, if it has moved")


def _news() -> dg.AutomationCondition:
    moved = Condition.data_version_changed() & ~Condition.executed_with_root_target()
    return Condition.any_deps_match(moved)


def events_job(projections: Sequence[str]) -> "UnresolvedAssetJobDefinition":
    """Return the job that takes events in and brings everything that follows in step."""
    assets = dg.AssetSelection.assets(*everything(projections)).without_checks()
    return dg.define_asset_job(
        JOB,
        selection=assets | dg.AssetSelection.checks(*passing_checks(projections)),
        description="Take events in, work them into the read models, take snapshots.",
        # A spawned step costs seconds of start-up.
        executor_def=dg.in_process_executor,
    )


def verification_job(projections: Sequence[str]) -> "UnresolvedAssetJobDefinition":
    """Return the job that runs every check that can run by itself."""
    return dg.define_asset_job(
        VERIFICATION_JOB,
        selection=dg.AssetSelection.checks(*_checks(projections, [FENCE_LAG, DENSE], [LAG, REPLAY])),
        description="Look at the log and compare the read models with replays; changes nothing.",
        executor_def=dg.in_process_executor,
    )


def events_schedule(config: EventsConfig, projections: Sequence[str]) -> list[dg.ScheduleDefinition]:
    """Return the schedule of the job, if the configuration asks for one; it runs from the start, as it was asked for."""
    if config.schedule is None:
        return []

    def request(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        # Named one by one: so Dagster knows that the run brings the read models in step as well as the log.
        return dg.RunRequest(
            asset_selection=everything(projections), asset_check_keys=passing_checks(projections)
        )

    return [
        dg.ScheduleDefinition(
            name=SCHEDULE,
            job_name=JOB,
            cron_schedule=config.schedule,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            execution_fn=request,
            description="Take events in; what is in the log already costs nothing.",
        )
    ]


def follow_sensor(projections: Iterable[str]) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that asks for what the conditions of this domain say.

    It runs from the start: read models that are in step are what the platform is for, and where nothing moves it starts
    nothing.
    """
    return dg.AutomationConditionSensorDefinition(
        AUTOMATION_SENSOR,
        target=dg.AssetSelection.assets(*everything(projections)),
        run_tags={FOLLOWS: "true"},
        minimum_interval_seconds=TICK,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs the projections when the log has moved, snapshots once an hour, comparisons once a day.",
    )


def everything(projections: Iterable[str]) -> list[dg.AssetKey]:
    """Return the keys of all assets that are materialized."""
    return [EVENT_LOG, *map(read_model, projections), SNAPSHOTS]


def passing_checks(projections: Iterable[str]) -> list[dg.AssetCheckKey]:
    """Return the checks that cost no more than a look, and so come with every run."""
    return _checks(projections, [REJECTED, FENCE_LAG], [DEAD, LAG])


def _checks(
    projections: Iterable[str], of_log: Iterable[str], of_projection: Sequence[str]
) -> list[dg.AssetCheckKey]:
    keys = [dg.AssetCheckKey(EVENT_LOG, check) for check in of_log]
    return keys + [
        dg.AssetCheckKey(read_model(name), check) for name in projections for check in of_projection
    ]
