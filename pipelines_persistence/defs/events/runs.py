"""The sensor that records Dagster's own runs as pipelines.

A plain sensor over the records of runs, and no `run_status_sensor`: that one moves on past a run whose recording failed,
so an hour without the database would leave pipelines that run forever. This one keeps its place, and recording the same
again records nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import msgspec

from pipelines_persistence.defs.events.automation import TICK
from pipelines_persistence.defs.events.naming import FOLLOWS, RUNS_SENSOR
from pipelines_persistence.defs.events.ports import Events
from pipelines_persistence.defs.events.run_history import Execution, record
from pipelines_persistence.errors import ConcurrencyConflict, PermanentError, StorageError
from pipelines_persistence.pipelines import PipelineStatus

if TYPE_CHECKING:
    from dagster._core.execution.plan.objects import StepFailureData

_RUNS = 50  # in a tick
_OVERLAP = timedelta(seconds=10)  # a record may become visible later than its time says
_LONGEST = 300  # characters

_ENDINGS = {
    dg.DagsterRunStatus.SUCCESS: PipelineStatus.COMPLETED,
    dg.DagsterRunStatus.FAILURE: PipelineStatus.FAILED,
    dg.DagsterRunStatus.CANCELED: PipelineStatus.CANCELLED,
}
_LAUNCHERS = {
    "schedule": "dagster/schedule_name",
    "sensor": "dagster/sensor_name",
    "backfill": "dagster/backfill",
}


class Place(msgspec.Struct, frozen=True):
    """How far the records of runs were read: the sensor's cursor.

    Attributes:
        until: the latest change that was seen.
        seen: the status of the runs that changed shortly before.
    """

    until: datetime | None = None
    seen: dict[str, str] = {}

    @classmethod
    def parse(cls, text: str | None) -> "Place":
        """Return what a cursor says; one that cannot be read begins anew, which records nothing twice."""
        try:
            return msgspec.json.decode(text, type=cls) if text else cls()
        except msgspec.DecodeError:
            return cls()

    def after(self, records: Sequence[dg.RunRecord]) -> "Place":
        """Return the place after some records."""
        if not records:
            return self
        until = max(record.update_timestamp for record in records)
        recent = [record for record in records if record.update_timestamp > until - _OVERLAP]
        return Place(until, {one.dagster_run.run_id: one.dagster_run.status.value for one in recent})


def runs_sensor() -> dg.SensorDefinition:
    """Return the sensor. It runs from the start, for a history with holes is none; a tick records up to 50 runs."""

    @dg.sensor(
        name=RUNS_SENSOR,
        minimum_interval_seconds=TICK,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records the runs of this instance as streams `pipeline-dagster-<run id>`: created, running, how it "
        "ended. Runs that only follow the log are left out: their record would be news that they have to run again.",
    )
    def dagster_runs(
        context: dg.SensorEvaluationContext, eventing: dg.ResourceParam[Events]
    ) -> dg.SensorResult:
        place = Place.parse(context.cursor)
        records = _changed(context.instance, place)
        recorded = 0
        for run in records:
            if run.dagster_run.status.value != place.seen.get(run.dagster_run.run_id):
                recorded += _record(context, eventing, run)
        return dg.SensorResult(skip_reason=f"{recorded} events recorded.", cursor=_text(place.after(records)))

    return dagster_runs


def _changed(instance: dg.DagsterInstance, place: Place) -> Sequence[dg.RunRecord]:
    since = dg.RunsFilter(updated_after=place.until - _OVERLAP) if place.until else None
    return instance.get_run_records(
        since, limit=_RUNS + len(place.seen), order_by="update_timestamp", ascending=True
    )


def _record(context: dg.SensorEvaluationContext, events: Events, run: dg.RunRecord) -> int:
    if FOLLOWS in run.dagster_run.tags:
        return 0
    try:
        return record(events.pipelines, execution(context.instance, run))
    except (StorageError, ConcurrencyConflict):
        raise
    except PermanentError as error:
        # Such as a stream that was archived: the other runs are recorded all the same.
        context.log.warning(f"the run {run.dagster_run.run_id} is not recorded: {error}")
        return 0


def execution(instance: dg.DagsterInstance, record: dg.RunRecord) -> Execution:
    """Return what is to be recorded of a run."""
    run = record.dagster_run
    begun = PipelineStatus.RUNNING if record.start_time else PipelineStatus.CREATED
    return Execution(
        run_id=run.run_id,
        name=_name(run),
        tags=_tags(run),
        status=_ENDINGS.get(run.status, begun),
        created_at=record.create_timestamp,
        started_at=_moment(record.start_time),
        ended_at=_moment(record.end_time),
        reason=_reason(instance, run.run_id) if run.status is dg.DagsterRunStatus.FAILURE else "",
    )


def _name(run: dg.DagsterRun) -> str:
    if not run.job_name.startswith("__"):
        return run.job_name
    # What was clicked together has a hidden job.
    keys = [*(run.asset_selection or ()), *(run.asset_check_selection or ())]
    return _short(", ".join(sorted(key.to_user_string() for key in keys))) or run.job_name


def _tags(run: dg.DagsterRun) -> dict[str, str]:
    launchers = [f"{kind} {run.tags[tag]}" for kind, tag in _LAUNCHERS.items() if tag in run.tags]
    return {"kind": "dagster", "job": run.job_name, "launched_by": _short(next(iter(launchers), "a person"))}


def _reason(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the class of what a run failed of; the words as well, if they are ours and so fit to be shown."""
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE, limit=1).records
    event = found[0].event_log_entry.dagster_event if found else None
    data = event.job_failure_data if event else None
    if data is None:
        return ""
    if data.first_step_failure_event is None:
        return data.failure_reason.value if data.failure_reason else ""
    step = data.first_step_failure_event
    return _short(f"{step.step_key}: {_failure_in_words(step.step_failure_data)}")


def _failure_in_words(failure: "StepFailureData") -> str:
    given = failure.user_failure_data
    if given and "error" in given.metadata:
        return f"{given.metadata['error'].value}: {given.description}"
    error = failure.error and (failure.error.cause or failure.error)
    return (error.cls_name if error else None) or "unknown error"


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _text(place: Place) -> str:
    return msgspec.json.encode(place).decode()
