"""Dependencies in Dagster: observations that plot themselves, checks with thresholds, a schedule."""

import logging
from datetime import UTC, datetime

import dagster as dg
import pytest

from pipelines_persistence.configuration import EventsConfig, HealthConfig, PipelinesConfig
from pipelines_persistence.defs.health.definitions import JOB, health_definitions
from pipelines_persistence.defs.resilience import resilience_metadata
from pipelines_persistence.defs.supervision import FIRST_WAIT, supervising
from pipelines_persistence.errors import CircuitOpen, StoreUnavailable
from pipelines_persistence.observations import Health, Observation, Verdict
from pipelines_persistence.resilience import LOGGER, CircuitState, GuardState

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["home", "ledger", "events", "vector_store", "embedder"]


def well(dependency, **measures):
    verdicts = (Verdict("reachable", passed=True, detail=""), Verdict("latency", passed=True, detail=""))
    return Observation(dependency, Health.OK, 0.1, MOMENT, "1.0", measures, "answers", verdicts)


class Seen:
    """What a test says was found."""

    def __init__(self, *found):
        self.found = list(found)

    def observe(self):
        return self.found


def definitions(health=None, **configuration):
    config = PipelinesConfig(events=EventsConfig(), health=HealthConfig(**configuration))
    defs = health_definitions(config, database_kind="postgres", vector_store_kind="qdrant", shared_cache=True)
    return dg.Definitions.merge(defs, dg.Definitions(resources={"health": health or Seen()}))


def run(*found):
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions(Seen(*found)).resolve_job_def(JOB).execute_in_process(instance=instance)
        assert result.success
        observations = {
            event.asset_observation_data.asset_observation.asset_key.path[-1]: (
                event.asset_observation_data.asset_observation
            )
            for event in result.all_events
            if event.event_type_value == "ASSET_OBSERVATION"
        }
        checks = {
            (evaluation.asset_key.path[-1], evaluation.check_name): evaluation
            for evaluation in result.get_asset_check_evaluations()
        }
    return observations, checks


def test_every_definition_loads_and_each_dependency_is_an_asset_outside():
    defs = definitions()
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    assert {key.path[-1] for key in graph.external_asset_keys} == {*NAMES, "cache"}


def test_what_is_found_is_observed_with_numbers_and_every_check_passes():
    everything = [well(name) for name in [*NAMES[:3], "embedder:hash", "cache"]]
    observations, checks = run(
        *everything, well("vector_store", points=7), well("collection:docs-1", points=7)
    )
    store = observations["vector_store"].metadata
    assert store["points"] == dg.MetadataValue.int(7)
    assert store["docs-1: points"] == dg.MetadataValue.int(7)
    assert store["latency"] == dg.MetadataValue.float(0.1)
    assert observations["embedder"].metadata["hash: version"] == dg.MetadataValue.text("1.0")
    assert set(observations) == {*NAMES, "cache"}
    assert all(check.passed for check in checks.values())
    assert {check for name, check in checks if name == "vector_store"} == {
        "reachable",
        "latency",
        "indexed_share",
        "optimizer",
    }


def test_what_does_not_answer_fails_its_check_and_the_run_goes_on():
    failed = Observation(
        "events",
        Health.FAILED,
        3.0,
        MOMENT,
        detail="away",
        verdicts=(Verdict("reachable", passed=False, detail="away"),),
    )
    _, checks = run(well("home"), failed)
    assert not checks["events", "reachable"].passed
    assert checks["events", "reachable"].severity is dg.AssetCheckSeverity.ERROR
    assert checks["events", "reachable"].description == "events: away"
    assert checks["events", "fence_lag"].description == "events: not measured, for it does not answer"
    assert checks["home", "reachable"].passed


def test_a_collection_beyond_its_threshold_fails_the_check_of_its_store_as_a_warning():
    verdict = Verdict("indexed_share", passed=False, detail="10% is in the graph")
    part = Observation("collection:docs-1", Health.DEGRADED, 0.1, MOMENT, verdicts=(verdict,))
    _, checks = run(well("vector_store"), part)
    check = checks["vector_store", "indexed_share"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "collection:docs-1: 10% is in the graph"


def test_the_schedule_is_that_of_the_configuration_and_runs():
    [schedule] = definitions(schedule="0 5 * * *").schedules
    assert schedule.cron_schedule == "0 5 * * *"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert not definitions(schedule=None).schedules


def materialize(work):
    """Run an asset that does some work under supervision; return the result and the waits that it asked for."""

    @dg.asset
    def thing(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with supervising(context, str):
            work()
        return dg.MaterializeResult(metadata={"own": 1})

    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([thing], instance=instance, raise_on_error=False), instance


def test_what_guards_tell_is_in_the_log_of_the_run_and_in_the_metadata_of_the_asset(clock_guard, capfd):
    answers = [StoreUnavailable("no answer"), "answer"]

    def flaky():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer

    result, _ = materialize(lambda: clock_guard.call(flaky))
    assert result.success
    [materialization] = result.asset_materializations_for_node("thing")
    assert materialization.metadata["own"] == dg.MetadataValue.int(1)
    assert materialization.metadata["vector_store: retries"] == dg.MetadataValue.int(1)
    assert "vector_store: attempt 1 failed" in capfd.readouterr().err
    assert not logging.getLogger(LOGGER).handlers


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (CircuitOpen("vector_store", 42.0), 42.0),
        (StoreUnavailable("slow down", retry_after=30.0), 30.0),
        (StoreUnavailable("no answer"), FIRST_WAIT),
        (CircuitOpen("vector_store", 0.5), FIRST_WAIT),
    ],
)
def test_a_run_that_meets_an_open_circuit_asks_to_be_run_again_when_it_may_be_closed(error, wait):
    def work():
        raise error

    @dg.asset
    def thing(context: dg.AssetExecutionContext) -> None:
        with pytest.raises(dg.RetryRequested) as caught, supervising(context, str):
            work()
        assert caught.value.seconds_to_wait == wait
        assert caught.value.max_retries

    assert dg.materialize([thing]).success


def test_the_state_of_guards_as_metadata_leaves_out_who_was_never_called():
    states = [
        GuardState("database", CircuitState.CLOSED),
        GuardState("vector_store", CircuitState.OPEN, calls=5, failures=3, retries=2, rejected=1),
    ]
    assert resilience_metadata(states) == {
        "vector_store: circuit": "open",
        "vector_store: calls": 5,
        "vector_store: failures": 3,
        "vector_store: retries": 2,
        "vector_store: turned away": 1,
    }
