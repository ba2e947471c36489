"""The dependencies as assets that lie outside, the job that looks at them, and its schedule."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import dagster as dg

from pipelines_persistence.configuration import HealthConfig, PipelinesConfig
from pipelines_persistence.defs.events.naming import FOLLOWS
from pipelines_persistence.defs.health.dependencies import Dependency, dependencies, descriptions
from pipelines_persistence.defs.health.verdicts import observation_of, results_of
from pipelines_persistence.observations import Observation

JOB = "observe_dependencies"
SCHEDULE = "observe_dependencies_schedule"


class Observing(Protocol):
    """Looks at the dependencies."""

    def observe(self) -> list[Observation]:
        """Look at each, once; never raises."""


def health_definitions(
    config: PipelinesConfig, *, database_kind: str, vector_store_kind: str, shared_cache: bool
) -> dg.Definitions:
    """Return the definitions of health; opens nothing.

    Args:
        config: what `pipelines.yaml` says.
        database_kind: of the events, such as "postgres".
        vector_store_kind: such as "qdrant".
        shared_cache: whether there is one.
    """
    found = dependencies(
        config,
        database_kind=database_kind,
        vector_store_kind=vector_store_kind,
        shared_cache=shared_cache,
    )
    return dg.Definitions(
        assets=[dependency.spec() for dependency in found],
        asset_checks=[_look(found, config.health)],
        jobs=[
            dg.define_asset_job(
                JOB,
                selection=dg.AssetSelection.checks(*(spec.key for spec in _specs(found, config.health))),
                description="Look at every dependency: latency, version, sizes; changes nothing.",
                tags={FOLLOWS: "true"},
                executor_def=dg.in_process_executor,
            )
        ],
        schedules=_schedule(config.health),
    )


def _look(found: Sequence[Dependency], config: HealthConfig) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(name="dependencies", specs=_specs(found, config))
    def look(
        context: dg.AssetCheckExecutionContext, health: dg.ResourceParam[Observing]
    ) -> Iterator[dg.AssetCheckResult]:
        seen = health.observe()
        for dependency in found:
            own = dependency.own(seen)
            context.op_execution_context.log_event(observation_of(dependency, own))
            yield from results_of(dependency, own)

    return look


def _specs(found: Sequence[Dependency], config: HealthConfig) -> list[dg.AssetCheckSpec]:
    told = descriptions(config)
    return [
        dg.AssetCheckSpec(check, asset=dependency.key, description=told[check])
        for dependency in found
        for check in dependency.all_checks
    ]


def _schedule(config: HealthConfig) -> list[dg.ScheduleDefinition]:
    if config.schedule is None:
        return []
    return [
        dg.ScheduleDefinition(
            name=SCHEDULE,
            job_name=JOB,
            cron_schedule=config.schedule,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Looks at every dependency, so that there is a history when one is asked for.",
        )
    ]
