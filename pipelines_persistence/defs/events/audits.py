"""Asset checks that run by themselves, on a click or a schedule: they look at the log and at the read models."""

import random

import dagster as dg
from pydantic import Field

from pipelines_persistence.defs.events.automation import once_a_day_if_moved
from pipelines_persistence.defs.events.density import hole_in, sample_of_streams
from pipelines_persistence.defs.events.naming import DENSE, EVENT_LOG, FENCE_LAG, LAG, REPLAY, read_model
from pipelines_persistence.defs.events.ports import Events
from pipelines_persistence.defs.events.presentation import difference_table
from pipelines_persistence.defs.events.standing import check_fence, check_lag
from pipelines_persistence.defs.supervision import supervising
from pipelines_persistence.projections import Tally
from pipelines_persistence.projections.verification import Verification, Verifier


class ReplayOptions(dg.Config):
    """What a person may decide for one comparison, in the launchpad."""

    events: int = Field(
        default=5000,
        ge=1,
        description="About how many events to replay: all streams where the log has no more, else a share of them, drawn "
        "anew each time. A read model whose rows depend on several streams is compared only where the log has no more.",
    )


def log_audits() -> list[dg.AssetChecksDefinition]:
    """Return the checks of the log."""

    @dg.asset_check(
        asset=EVENT_LOG,
        name=FENCE_LAG,
        description="No open transaction holds committed events back for longer than `fence_warning` seconds.",
    )
    def fence_lag(
        context: dg.AssetCheckExecutionContext, eventing: dg.ResourceParam[Events]
    ) -> dg.AssetCheckResult:
        with supervising(context, str):
            return check_fence(eventing)

    @dg.asset_check(
        asset=EVENT_LOG,
        name=DENSE,
        automation_condition=once_a_day_if_moved(),
        description="The versions of a sample of streams run from 1 without holes; a tombstoned stream keeps one event.",
    )
    def versions_are_dense(
        context: dg.AssetCheckExecutionContext, eventing: dg.ResourceParam[Events]
    ) -> dg.AssetCheckResult:
        with supervising(context, str) as notify:
            streams = sample_of_streams(eventing.store, random.SystemRandom())
            holes = {}
            for stream in streams:
                notify(stream)
                if found := hole_in(eventing.store, stream):
                    holes[stream] = found
        return dg.AssetCheckResult(
            passed=not holes,
            description=f"{len(holes)} of {len(streams)} streams have lost events: restore them from a backup; "
            "something other than this platform has written to the database."
            if holes
            else None,
            metadata={
                "streams looked at": len(streams),
                **({"holes": dg.MetadataValue.json(holes)} if holes else {}),
            },
        )

    return [fence_lag, versions_are_dense]


def projection_audits(name: str) -> list[dg.AssetChecksDefinition]:
    """Return the checks of a read model."""

    @dg.asset_check(
        asset=read_model(name),
        name=LAG,
        description="The read model is not more than `lag_warning` events behind the log.",
    )
    def lag(
        context: dg.AssetCheckExecutionContext, eventing: dg.ResourceParam[Events]
    ) -> dg.AssetCheckResult:
        with supervising(context, str):
            return check_lag(eventing, name)

    @dg.asset_check(
        asset=read_model(name),
        name=REPLAY,
        automation_condition=once_a_day_if_moved(),
        description="The rows of a sample of streams are what a replay of their events gives.",
    )
    def equals_a_replay(
        context: dg.AssetCheckExecutionContext, config: ReplayOptions, eventing: dg.ResourceParam[Events]
    ) -> dg.AssetCheckResult:
        with supervising(context, _replayed_in_words) as notify:
            verifier = Verifier(
                eventing.store, eventing.models, eventing.scratch, limit=config.events, notify=notify
            )
            found = verifier.verify(eventing.projection(name).projection)
        return _judged(found)

    return [lag, equals_a_replay]


def _judged(found: Verification) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=found.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_in_words(found),
        metadata={
            "compared": bool(found.sample) and not found.notice,
            "sample": found.sample or "none",
            "events replayed": found.events,
            "rows compared": found.rows,
            "rows that differ": found.differing,
            **({"differences": difference_table(found.differences)} if found.differences else {}),
        },
    )


def _in_words(found: Verification) -> str | None:
    if found.obstacle:
        return f"The sample cannot be replayed: {found.obstacle}"
    if found.differing:
        return (
            f"Rows that are not what their events give: {found.differing}. Either something else wrote to the tables, or the "
            "projection was changed without a new version: raise it, or rebuild (launchpad, `rebuild: true`)."
        )
    return f"Not compared: {found.notice}." if found.notice else None


def _replayed_in_words(tally: Tally) -> str:
    return f"{tally.events} events replayed"
