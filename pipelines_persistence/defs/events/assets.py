"""The log, what it is fed from, one asset for each projection, snapshots. Glue between events and Dagster, no more."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.defs.events import descriptions
from pipelines_persistence.defs.events.automation import once_an_hour_if_moved, when_events_moved
from pipelines_persistence.defs.events.checks import (
    judge_load,
    judge_projection,
    log_checks,
    projection_checks,
)
from pipelines_persistence.defs.events.naming import EVENT_LOG, GROUP, SNAPSHOTS, feeds, read_model
from pipelines_persistence.defs.events.ports import Events
from pipelines_persistence.defs.events.presentation import (
    PREVIEW,
    column_schema,
    load_metadata,
    projection_metadata,
    snapshot_metadata,
)
from pipelines_persistence.defs.events.standing import newest
from pipelines_persistence.defs.supervision import supervising
from pipelines_persistence.events.feeds import Progress
from pipelines_persistence.projections import DeadLetter, OnError, Projection, Tally


class ProjectionOptions(dg.Config):
    """What a person may decide for one run, in the launchpad."""

    rebuild: bool = Field(
        default=False,
        description="Build the read model anew beside the one that readers see, and swap when it has caught up.",
    )
    skip_failing: bool = Field(
        default=False,
        description="While it is built anew, put events that cannot be worked in among the dead letters; else stop there, "
        "and readers see what they saw.",
    )


def feed_specs(config: EventsConfig) -> list[dg.AssetSpec]:
    """Return what lies outside, so that the graph shows where events come from."""
    return [
        dg.AssetSpec(
            key,
            group_name=GROUP,
            description=descriptions.describe_feed(name),
            metadata={"feed": name},
            kinds={"redis" if key.path[0] == "redis" else "file"},
        )
        for name, key in feeds(config).items()
    ]


def log_asset(config: EventsConfig, kind: str) -> dg.AssetsDefinition:
    """Return the asset of the log; `kind` is that of its database."""

    @dg.asset(
        key=EVENT_LOG,
        deps=list(feeds(config).values()),
        check_specs=log_checks(),
        description=descriptions.EVENT_LOG,
        group_name=GROUP,
        kinds={"json", kind},
        pool="event_log",  # a second load of the same files would find that the first one had them
    )
    def event_log(
        context: dg.AssetExecutionContext, eventing: dg.ResourceParam[Events]
    ) -> dg.MaterializeResult:
        with supervising(context, _taken_in) as notify:
            loaded = eventing.take_in(notify)
            store = eventing.store
            head, fence = store.head(), store.fence_lag()
            shown = newest(store)
        return dg.MaterializeResult(
            metadata=load_metadata(loaded, fence, head, shown),
            data_version=dg.DataVersion(str(head)),
            check_results=judge_load(loaded),
        )

    return event_log


def projection_asset(projection: Projection, kind: str) -> dg.AssetsDefinition:
    """Return the asset of a projection; `kind` is that of the database."""
    name, main = projection.name, projection.tables[0]

    # No pool: two workers on one read model give way to each other, and a run that builds one of them anew for an hour
    # must not hold up the others. Automation asks for none that is in progress.
    @dg.asset(
        key=read_model(name),
        deps=[EVENT_LOG],
        check_specs=projection_checks(name),
        description=descriptions.describe_projection(projection),
        metadata={"dagster/column_schema": column_schema(main), "dagster/table_name": name},
        group_name=GROUP,
        kinds={"view", kind},
        code_version=projection.fingerprint,
        automation_condition=when_events_moved(),
    )
    def project(
        context: dg.AssetExecutionContext, config: ProjectionOptions, eventing: dg.ResourceParam[Events]
    ) -> dg.MaterializeResult:
        with supervising(context, _worked_in) as notify:
            configured = eventing.projection(name)
            report = eventing.runner.run(
                configured.projection,
                rebuild=config.rebuild,
                on_error=configured.on_error,
                on_error_rebuilding=OnError.SKIP if config.skip_failing else OnError.STOP,
                notify=notify,
            )
            rows, letters = _look(eventing, configured.projection)
        return dg.MaterializeResult(
            metadata=projection_metadata(report, main, rows, letters),
            data_version=dg.DataVersion(report.data_version),
            check_results=judge_projection(report, letters),
        )

    return project


def snapshot_asset(kind: str) -> dg.AssetsDefinition:
    """Return the asset of the snapshots; `kind` is that of the database."""

    @dg.asset(
        key=SNAPSHOTS,
        deps=[EVENT_LOG],
        description=descriptions.SNAPSHOTS,
        group_name=GROUP,
        kinds={"table", kind},
        automation_condition=once_an_hour_if_moved(),
    )
    def snapshots(
        context: dg.AssetExecutionContext, eventing: dg.ResourceParam[Events]
    ) -> dg.MaterializeResult:
        with supervising(context, str):
            counts = eventing.take_snapshots()
        return dg.MaterializeResult(metadata=snapshot_metadata(counts))

    return snapshots


def _look(events: Events, projection: Projection) -> tuple[Sequence[Any], Sequence[DeadLetter]]:
    build = events.models.live(projection.name)
    if build is None:
        return [], []
    rows = events.models.rows(build, projection.tables[0], limit=PREVIEW)
    return list(rows), events.models.dead_letters(build)


def _taken_in(progress: Progress) -> str:
    return f"{progress.read} lines or entries read, now {progress.feed}"


def _worked_in(tally: Tally) -> str:
    return f"{tally.events} events worked in, {tally.dead} passed over"
