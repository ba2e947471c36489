"""What a run in Dagster makes of a vector store that flaps, is away for a while, or stays away."""

import logging

import dagster as dg
import pytest

from pipelines_persistence.definitions import build_defs
from pipelines_persistence.defs import supervision
from pipelines_persistence.settings import Settings
from tests.wire_double import WireDouble
from tests.wire_double.faults import Fault

# Dagster calls a deprecated method of its own for a resource within a resource.
pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")

CONFIG = """
indexes:
  docs:
    sources: [{name: docs, uri: docs}]
    embedding: {backend: hash}
resilience:
  vector_store: {retry: {attempts: 2, wait: 0.01}, breaker: {minimum: 4, seconds: 0.1}}
"""


@pytest.fixture
def double():
    with WireDouble() as double:
        yield double


@pytest.fixture
def run(tmp_path, monkeypatch, double):
    """Return a function that runs the job of the index, as a launch in the UI does."""
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.05)
    monkeypatch.setenv("PIPELINES_QDRANT_URL", double.url)
    (tmp_path / "docs").mkdir()
    for number in range(3):
        (tmp_path / "docs" / f"{number}.md").write_text(f"# Pump {number}\n\nIt is cleaned on Mondays.")
    (tmp_path / "pipelines.yaml").write_text(CONFIG)

    def run_job():
        defs = build_defs(Settings(home=tmp_path / "home", config=tmp_path / "pipelines.yaml"))
        with dg.DagsterInstance.ephemeral() as instance:
            return defs.resolve_job_def("ingest_docs").execute_in_process(
                instance=instance, raise_on_error=False
            )

    return run_job


def retries(result):
    return len(result.filter_events(lambda event: event.is_step_up_for_retry))


def errors(result):
    return [event.step_failure_data.error.to_string() for event in result.all_events if event.is_step_failure]


def metadata(result, asset):
    (event,) = (e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == asset)
    return {key: entry.value for key, entry in event.materialization.metadata.items()}


def test_what_a_guard_repeats_is_counted_on_the_asset_and_the_run_goes_well(run, double):
    double.faults.plan(Fault("Points/Upsert", calls=1, status="UNAVAILABLE"))
    result = run()
    assert result.success, errors(result)
    assert (metadata(result, "index")["vector_store: retries"], retries(result)) == (1, 0)
    assert metadata(result, "index")["dagster/row_count"] == 3


def test_a_store_that_is_away_for_a_while_is_tried_again_later_by_dagster(run, double):
    double.faults.plan(Fault("Points/Upsert", calls=5, status="UNAVAILABLE"))
    result = run()
    assert result.success, errors(result)
    assert retries(result) >= 2
    assert metadata(result, "index")["dagster/row_count"] == 3


def test_an_open_circuit_is_waited_for_for_as_long_as_it_is_open(run, double, tmp_path):
    content = (tmp_path / "pipelines.yaml").read_text()
    (tmp_path / "pipelines.yaml").write_text(
        content.replace("minimum: 4, seconds: 0.1", "minimum: 2, seconds: 1.5, failure_ratio: 0.01")
    )
    double.faults.plan(Fault("Points/Upsert", calls=1, status="UNAVAILABLE"))
    result = run()
    assert result.success, errors(result)
    waits = [event.step_retry_data for event in result.all_events if event.is_step_up_for_retry]
    assert any("failed too often" in wait.error.to_string() for wait in waits)
    assert max(wait.seconds_to_wait for wait in waits) > 0.5  # what is left of its break


def test_a_store_that_stays_away_fails_the_run_with_what_to_do(run, double, caplog):
    caplog.set_level(logging.CRITICAL, "dagster")
    double.stop()
    result = run()
    assert not result.success
    assert retries(result) == supervision.RETRIES
    [failure] = (event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert failure.user_failure_data.metadata["error"].value in {"StoreUnavailable", "CircuitOpen"}
    assert "DagsterInvariantViolationError" not in errors(result)[0]
