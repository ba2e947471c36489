"""The history of observations, on either database."""

from datetime import UTC, datetime, timedelta

import pytest

from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.observations import SqlObservations
from pipelines_persistence.observations import Health, Observation, Verdict

MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request):
    engine = open_database(request.getfixturevalue(f"{request.param}_url"))
    yield engine
    engine.dispose()


@pytest.fixture
def history(engine):
    return SqlObservations(engine)


def seen(dependency="ledger", minutes=0, **changes):
    values = {"status": Health.OK, "latency": 0.25, "observed_at": MOMENT + timedelta(minutes=minutes)}
    return Observation(dependency, **{**values, **changes})


def test_an_observation_comes_back_as_it_was(history):
    observation = seen(
        "collection:docs-1",
        status=Health.DEGRADED,
        version="1.16.0",
        measures={"points": 12, "indexed share": 0.5, "optimizer": 'ok, "mostly"'},
        detail="half of it is in the graph",
        observed_at=MOMENT + timedelta(microseconds=1),
    )
    history.record([observation])
    assert history.history("collection:docs-1") == [observation]


def test_the_newest_come_first_and_only_those_of_the_dependency(history):
    history.record([seen(minutes=2), seen(minutes=1), seen("events", minutes=3)])
    history.record([seen(minutes=4)])
    assert [(found.observed_at - MOMENT).seconds // 60 for found in history.history("ledger")] == [4, 2, 1]
    assert [(found.observed_at - MOMENT).seconds // 60 for found in history.history("ledger", 1)] == [4]
    assert history.history("nothing") == []


def test_those_of_one_moment_come_the_last_recorded_first(history):
    history.record([seen(detail="first"), seen(detail="second")])
    assert [found.detail for found in history.history("ledger")] == ["second", "first"]


def test_what_was_observed_is_listed(history):
    assert history.dependencies() == []
    history.record([seen("ledger"), seen("events"), seen("ledger", minutes=1)])
    assert history.dependencies() == ["events", "ledger"]


def test_what_is_older_than_a_moment_is_forgotten(history):
    history.record([seen(minutes=minutes) for minutes in range(5)])
    assert history.prune(MOMENT + timedelta(minutes=3)) == 3
    assert [found.observed_at for found in history.history("ledger")] == [
        MOMENT + timedelta(minutes=4),
        MOMENT + timedelta(minutes=3),
    ]


def test_verdicts_are_not_kept_for_thresholds_change(history):
    history.record([seen(verdicts=(Verdict("latency", passed=True, detail=""),))])
    assert history.history("ledger") == [seen()]


def test_nothing_of_a_record_is_kept_if_a_part_of_it_cannot_be(history):
    naive = seen(observed_at=datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose
    with pytest.raises(Exception, match="naive"):
        history.record([seen(), naive])
    history.record([])
    assert history.history("ledger") == []


def test_a_number_that_is_none_is_refused(history):
    with pytest.raises(ValueError, match="JSON"):
        history.record([seen(measures={"share": float("nan")})])


def test_the_kind_of_a_dependency_is_what_stands_before_the_colon():
    assert (seen("collection:docs:1").kind, seen("ledger").kind) == ("collection", "ledger")
