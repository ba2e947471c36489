"""Jobs and schedules of one index."""

from typing import TYPE_CHECKING

import dagster as dg

from pipelines_persistence.configuration import IndexConfig
from pipelines_persistence.defs.indexes.naming import job_of, schedule_of

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def ingest_job(index: str) -> "UnresolvedAssetJobDefinition":
    """Return the job that plans and ingests an index."""
    return dg.define_asset_job(
        job_of(index),
        selection=dg.AssetSelection.assets([index, "plan"], [index, "index"]),
        description=f"Bring the index `{index}` in step with its sources: plan, then write the difference.",
        # A spawned step costs seconds of start-up and would load the model twice.
        executor_def=dg.in_process_executor,
    )


def ingest_schedule(index: str, settings: IndexConfig) -> list[dg.ScheduleDefinition]:
    """Return the schedule of an index, if its configuration asks for one.

    It runs from the start, for `pipelines.yaml` asks for it by name; the UI can switch it off.
    """
    if settings.schedule is None:
        return []
    return [
        dg.ScheduleDefinition(
            name=schedule_of(index),
            job_name=job_of(index),
            cron_schedule=settings.schedule,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Re-index `{index}`: what is unchanged costs nothing.",
        )
    ]
