"""Records executions of Dagster as pipelines: each is a stream, `pipeline-dagster-<run id>`. No Dagster in here."""

from datetime import datetime

import msgspec

from pipelines_persistence.errors import AggregateNotFound, ConcurrencyConflict
from pipelines_persistence.events import AggregateRepository
from pipelines_persistence.pipelines import PipelineAggregate, PipelineStatus

_ACTOR = "dagster"
_TRIES = 5


class Execution(msgspec.Struct, frozen=True):
    """A run of Dagster as it stands.

    Attributes:
        name: for people.
        tags: what it is found by.
        status: CREATED, RUNNING, or how it ended.
        reason: why it failed, fit to be shown.
    """

    run_id: str
    name: str
    tags: dict[str, str]
    status: PipelineStatus
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""


def record(pipelines: AggregateRepository[PipelineAggregate], run: Execution) -> int:
    """Append what is not yet known of a run, and return how many events that were. Two may do so at once.

    Raises:
        ConcurrencyConflict: somebody else was faster again and again.
        StreamClosed: the run's stream was tombstoned or archived.
    """
    for _ in range(_TRIES - 1):
        try:
            return _record(pipelines, run)
        except ConcurrencyConflict:
            continue
    return _record(pipelines, run)


def _record(pipelines: AggregateRepository[PipelineAggregate], run: Execution) -> int:
    pipeline_id = f"dagster-{run.run_id}"
    try:
        pipeline = pipelines.load(pipeline_id)
    except AggregateNotFound:
        pipeline = PipelineAggregate.create(pipeline_id, run.name, run.tags, occurred_at=run.created_at)
    _follow(pipeline, run)
    recorded = len(pipeline.uncommitted)
    pipelines.save(pipeline, correlation_id=run.run_id, actor=_ACTOR)
    return recorded


def _follow(pipeline: PipelineAggregate, run: Execution) -> None:
    """Record what has happened since; a run does not begin again, so news that come late change nothing."""
    if pipeline.state.status.is_final:
        return
    if run.started_at and pipeline.state.status is PipelineStatus.CREATED:
        pipeline.update_status(PipelineStatus.RUNNING, occurred_at=run.started_at)
    if run.status.is_final:
        seconds = (run.ended_at - run.started_at).total_seconds() if run.started_at and run.ended_at else None
        numbers = {} if seconds is None else {"seconds": seconds}
        pipeline.update_status(run.status, run.reason, numbers=numbers, occurred_at=run.ended_at)
