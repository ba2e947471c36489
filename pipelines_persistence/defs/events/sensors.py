"""The sensor on new events: in the log, whoever appended them, and in the feeds that the log is taken from."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from pipelines_persistence.defs.events.automation import TICK, passing_checks
from pipelines_persistence.defs.events.naming import (
    DATA_VERSION,
    EVENT_LOG,
    FENCE_LAG,
    JOB,
    LAG,
    NEWS_SENSOR,
    read_model,
)
from pipelines_persistence.defs.events.news import Decision, Seen, decide
from pipelines_persistence.defs.events.ports import Events
from pipelines_persistence.defs.events.presentation import Metadata, news_metadata
from pipelines_persistence.defs.events.standing import check_fence, check_lag, newest
from pipelines_persistence.defs.events.verdicts import (
    Materializations,
    hidden_verdicts,
    latest_materializations,
    told,
)
from pipelines_persistence.errors import PipelinesError
from pipelines_persistence.events import Cursor

_COUNTED = 10_000  # events, at most; counting is reading
_READ = 1000  # of which so many are looked at for their streams

_WAITING = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED]


def news_sensor(projections: Sequence[str]) -> dg.SensorDefinition:
    """Return the sensor. It runs from the start: where nothing moves, a tick is a look at the end of the log.

    A tick is bounded by what it counts and reads, whatever came in. What it saw is its cursor, so it asks for a run once
    for the same news.
    """

    @dg.sensor(
        name=NEWS_SENSOR,
        job_name=JOB,
        minimum_interval_seconds=TICK,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells, without a run, that the log has moved, and asks for a run when files or Redis hold news. Turns "
        "the checks `lag` and `fence_lag` when their verdict changes, and keeps failed comparisons in sight.",
    )
    def new_events(
        context: dg.SensorEvaluationContext, eventing: dg.ResourceParam[Events]
    ) -> dg.SensorResult:
        before, head = Seen.parse(context.cursor), eventing.store.head()
        verdicts = _verdicts(eventing, projections)
        failing = frozenset(name for name, result in verdicts.items() if not result.passed)
        now = Seen(str(head), _news(context, eventing, before), failing)
        latest = latest_materializations(context.instance, projections)
        decision = decide(before, now, reported=_reported(latest), is_waiting=_is_waiting(context.instance))
        shown = frozenset([FENCE_LAG] if decision.report else [])
        return dg.SensorResult(
            run_requests=_requests(decision, projections),
            asset_events=[
                *_moved(eventing, decision, Cursor.parse(before.head), head),
                *(told(verdicts[name], latest) for name in verdicts if name in decision.turned | shown),
                *hidden_verdicts(context.instance, projections, latest, is_reported=decision.report),
            ],
            skip_reason=None if decision.ask_for else _in_words(decision),
            cursor=str(decision.keep),
        )

    return new_events


def _news(context: dg.SensorEvaluationContext, events: Events, before: Seen) -> dict[str, str]:
    try:
        return dict(events.news())
    except PipelinesError as error:  # a feed does not answer: the log may have moved all the same
        context.log.warning(f"no news from the feeds this time: {error}")
        return before.feeds


def _verdicts(events: Events, projections: Sequence[str]) -> Mapping[str, dg.AssetCheckResult]:
    """Return the checks that may turn, by names that tell them apart."""
    return {
        FENCE_LAG: check_fence(events),
        **{f"{LAG} of {name}": check_lag(events, name) for name in projections},
    }


def _reported(latest: Materializations) -> str | None:
    told_of = latest[EVENT_LOG].asset_materialization if EVENT_LOG in latest else None
    return (told_of.tags or {}).get(DATA_VERSION) if told_of else None


def _is_waiting(instance: dg.DagsterInstance) -> bool:
    return instance.get_runs_count(dg.RunsFilter(job_name=JOB, statuses=_WAITING)) > 0


def _requests(decision: Decision, projections: Sequence[str]) -> list[dg.RunRequest]:
    if not decision.ask_for:
        return []
    # Without the snapshots, which nobody waits for.
    return [
        dg.RunRequest(
            decision.run_key,
            asset_selection=[EVENT_LOG, *map(read_model, projections)],
            asset_check_keys=passing_checks(projections),
        )
    ]


def _moved(
    events: Events, decision: Decision, since: Cursor, head: Cursor
) -> Iterator[dg.AssetMaterialization]:
    if decision.report:
        # An observation would trigger nothing downstream.
        yield dg.AssetMaterialization(
            EVENT_LOG,
            description="Noticed by the sensor; no run was needed.",
            metadata=_arrivals(events, since, head),
            tags={DATA_VERSION: str(head)},
        )


def _arrivals(events: Events, since: Cursor, head: Cursor) -> Metadata:
    store = events.store
    batch = next(store.batches(since, until=head, limit=_READ), None)
    streams = len({event.stream for event in batch.events}) if batch else 0
    count = store.count(since, until=head, most=_COUNTED)
    return news_metadata(count, streams, store.fence_lag(), head, newest(store))


def _in_words(decision: Decision) -> str:
    if decision.report:
        return f"The log has moved to {decision.keep.head}; nothing new in the feeds."
    return "Nothing new."
