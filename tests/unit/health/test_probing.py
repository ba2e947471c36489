"""Probes: deadlines, thresholds, and never an exception."""

import threading

import pytest

from pipelines_persistence.configuration import HealthConfig
from pipelines_persistence.errors import DatabaseUnavailable
from pipelines_persistence.health.probing import Finding, Probe, observe
from pipelines_persistence.observations import Health

CONFIG = HealthConfig(latency=1.0, free_space=1000, indexed_share=0.9, deadline=5.0)


def look(finding, config=CONFIG):
    return observe(Probe("vector_store", lambda: finding, "1.2"), config)


def verdicts(observation):
    return {verdict.check: verdict.passed for verdict in observation.verdicts}


def test_what_is_well_is_ok_with_all_that_was_found():
    found = look(Finding("answers", latency=0.5, measures={"points": 3}))
    assert (found.status, found.detail, found.version) == (Health.OK, "answers", "1.2")
    assert (found.latency, found.measures) == (0.5, {"points": 3})
    assert found.observed_at.tzinfo is not None
    assert verdicts(found) == {"reachable": True, "latency": True}


def test_the_version_that_a_server_tells_counts_more_than_that_of_the_package():
    assert look(Finding("answers", version="1.16.0")).version == "1.16.0"


@pytest.mark.parametrize(
    ("finding", "check"),
    [
        (Finding("", latency=1.1), "latency"),
        (Finding("", measures={"free_bytes": 999}), "free_space"),
        (Finding("", measures={"indexed_share": 0.89, "points": 50_000}), "indexed_share"),
        (Finding("", measures={"optimizer": "failed: no space"}), "optimizer"),
        (Finding("", measures={"optimizer": "ok", "status": "red"}), "optimizer"),
        (Finding("", measures={"fence_lag": 61.0}, limits={"fence_lag": 60.0}), "fence_lag"),
    ],
)
def test_what_is_beyond_a_threshold_is_degraded_and_says_so(finding, check):
    found = look(finding)
    assert found.status is Health.DEGRADED
    assert [name for name, passed in verdicts(found).items() if not passed] == [check]
    [wrong] = [verdict.detail for verdict in found.verdicts if not verdict.passed]
    assert wrong in found.detail


@pytest.mark.parametrize(
    "finding",
    [
        Finding("", latency=1.0),
        Finding("", measures={"free_bytes": 1000}),
        Finding("", measures={"indexed_share": 0.9, "points": 50_000}),
        Finding("", measures={"indexed_share": 0.0, "points": 49_999}),  # it is scanned, and is to be
        Finding("", measures={"optimizer": "ok", "status": "yellow"}),
        Finding("", measures={"fence_lag": 60.0}, limits={"fence_lag": 60.0}),
        Finding("", measures={"fence_lag": 999.0}),  # nobody set a limit
    ],
)
def test_what_is_just_within_is_ok(finding):
    assert look(finding).status is Health.OK


def failing(error):
    def work():
        raise error

    return observe(Probe("events", work), CONFIG)


def test_what_fails_is_failed_with_the_reason():
    found = failing(DatabaseUnavailable("the database does not answer"))
    assert (found.status, found.detail) == (Health.FAILED, "the database does not answer")
    assert verdicts(found) == {"reachable": False}


def test_an_error_nobody_thought_of_is_told_by_its_type():
    assert failing(KeyError("x")).detail == "KeyError: 'x'"


def test_what_hangs_is_failed_at_its_deadline():
    release = threading.Event()
    config = CONFIG.model_copy(update={"deadline": 0.05})
    found = observe(Probe("events", lambda: release.wait(30)), config)
    release.set()
    assert found.status is Health.FAILED
    assert "no answer within 0.05 s" in found.detail


def test_what_need_not_be_there_is_absent_and_not_judged():
    found = look(None)
    assert (found.status, found.verdicts) == (Health.ABSENT, ())
