"""Retries around a breaker: how often, how long, and never more than once for the same trouble."""

import logging
import threading

import pytest

from pipelines_persistence.configuration import (
    BreakerConfig,
    DependencyConfig,
    ResilienceConfig,
    RetryConfig,
)
from pipelines_persistence.errors import (
    CircuitOpen,
    DatabaseUnavailable,
    IndexBusy,
    StoreError,
    StoreUnavailable,
)
from pipelines_persistence.resilience import LOGGER, CircuitState, Guard, Guards

RETRY = RetryConfig(attempts=4, wait=1.0, longest=3.0, seconds=60.0)
BREAKER = BreakerConfig(minimum=20)


class Flaky:
    """Fails as it was told to, then answers."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def away(times=1, **options):
    return [StoreUnavailable("no answer", **options) for _ in range(times)]


@pytest.fixture
def guard(clock):
    return make(clock)


def make(clock, retry=RETRY, breaker=BREAKER, name="vector_store", **options):
    config = DependencyConfig(retry=retry, breaker=breaker)
    return Guard(name, config, clock=clock, sleep=clock.sleep, jitter=lambda: 1.0, **options)


def test_what_fails_for_a_while_is_repeated_with_ever_longer_waits(guard, clock):
    assert guard.call(Flaky(*away(3))) == "answer"
    assert clock.slept == [1.0, 2.0, 3.0]  # doubled, up to the longest


def test_no_more_attempts_are_made_than_configured(guard):
    work = Flaky(*away(10))
    with pytest.raises(StoreUnavailable):
        guard.call(work)
    assert work.calls == 4


def test_no_wait_begins_that_would_end_after_the_time_for_all_attempts(clock):
    work = Flaky(*away(10))
    with pytest.raises(StoreUnavailable):
        make(clock, RetryConfig(attempts=100, wait=1, longest=1, seconds=2.5)).call(work)
    assert clock.slept == [1, 1]


@pytest.mark.parametrize("error", [StoreError("wrong"), IndexBusy("held"), ValueError("bug")])
def test_what_repeating_does_not_mend_is_not_repeated(guard, clock, error):
    work = Flaky(error)
    with pytest.raises(type(error)):
        guard.call(work)
    assert (work.calls, clock.slept) == (1, [])


def test_a_permanent_error_ends_the_repetitions(guard):
    work = Flaky(*away(1), StoreError("wrong"), *away(5))
    with pytest.raises(StoreError):
        guard.call(work)
    assert work.calls == 2


def test_the_wait_that_a_server_asks_for_is_kept(guard, clock):
    assert guard.call(Flaky(*away(1, retry_after=7.0))) == "answer"
    assert clock.slept == [pytest.approx(7.7)]  # a little later, so that not all come back at once


def test_a_server_that_asks_for_more_time_than_there_is_gets_it_from_the_caller(guard, clock):
    with pytest.raises(StoreUnavailable) as caught:
        guard.call(Flaky(*away(1, retry_after=300.0)))
    assert (caught.value.retry_after, clock.slept) == (300.0, [])


def test_waits_are_spread_between_half_and_all(clock):
    config = DependencyConfig(retry=RETRY, breaker=BREAKER)
    Guard("x", config, clock=clock, sleep=clock.sleep, jitter=lambda: 0.0).call(Flaky(*away(2)))
    assert clock.slept == [0.5, 1.0]


def test_work_that_may_not_run_again_is_not_repeated(guard):
    work = Flaky(DatabaseUnavailable("perhaps it stands"))
    with pytest.raises(DatabaseUnavailable):
        guard.call(work, repeatable=lambda _error: False)
    assert work.calls == 1


def test_an_open_circuit_is_not_waited_for(clock):
    guard = make(clock, breaker=BreakerConfig(minimum=2))
    with pytest.raises(StoreUnavailable):  # what opened it tells more than that it is open
        guard.call(Flaky(*away(10)))
    assert (guard.state().calls, clock.slept) == (2, [1.0])
    with pytest.raises(CircuitOpen):
        guard.call(lambda: pytest.fail("called"))
    assert (guard.state().rejected, clock.slept) == (1, [1.0])


def test_a_circuit_that_others_open_meanwhile_names_what_failed_before(clock):
    guard = make(clock)
    guard._sleep = lambda _seconds: guard.breaker.isolate()
    with pytest.raises(CircuitOpen) as caught:
        guard.call(Flaky(*away(10)))
    assert str(caught.value.__cause__) == "no answer"


def test_guards_of_one_dependency_within_each_other_do_not_multiply(guard):
    work = Flaky(*away(100))
    with pytest.raises(StoreUnavailable):
        guard.call(lambda: guard.call(lambda: guard.call(work)))
    assert work.calls == 4  # not 64
    assert guard.state().failures == 4  # not 12


def test_a_probe_may_call_its_own_dependency_again(clock):
    guard = make(clock, breaker=BreakerConfig(minimum=2, seconds=5))
    with pytest.raises(StoreUnavailable):
        guard.call(Flaky(*away(10)))
    clock.now += 5
    assert guard.call(lambda: guard.call(lambda: "answer")) == "answer"
    assert guard.state().state is CircuitState.CLOSED


def test_another_dependency_within_is_guarded_by_its_own_rules(clock, guard):
    other, work = make(clock, name="database"), Flaky(DatabaseUnavailable("away"))
    assert guard.call(lambda: other.call(work)) == "answer"
    assert (guard.state().failures, other.state().failures) == (0, 1)


def test_after_a_call_the_guard_guards_again(guard):
    with pytest.raises(StoreError):
        guard.call(Flaky(StoreError("wrong")))
    assert guard.call(Flaky(*away(1))) == "answer"


def test_its_state_says_what_happened(guard):
    guard.call(Flaky(*away(2)))
    state = guard.state()
    assert (state.name, state.state) == ("vector_store", CircuitState.CLOSED)
    assert (state.calls, state.failures, state.retries, state.opened) == (3, 2, 2, 0)
    assert state.last_error == "no answer"


def test_retries_of_many_threads_are_all_counted(clock):
    guard = make(clock, RetryConfig(attempts=2, wait=0.001), BreakerConfig(minimum=10_000))

    def run():
        for _ in range(200):
            guard.call(Flaky(*away(1)))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = guard.state()
    assert (state.calls, state.failures, state.retries) == (3200, 1600, 1600)


def test_retries_and_changes_are_in_the_log(clock, caplog):
    caplog.set_level(logging.INFO, LOGGER)
    guard = make(clock, breaker=BreakerConfig(minimum=2, seconds=5))
    with pytest.raises(StoreUnavailable):
        guard.call(Flaky(*away(10)))
    clock.now += 5
    guard.call(Flaky())
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "WARNING", "INFO"]
    assert caplog.messages == [
        "vector_store: attempt 1 failed, again in 1.00 s: no answer",
        "vector_store: the circuit is open: 2 of 2 calls failed, the last with: no answer",
        "vector_store: the circuit is half-open: its break is over, one call tries",
        "vector_store: the circuit is closed: it answers again",
    ]
    assert caplog.records[0].resilience.attempt == 1


def test_streams_that_fail_side_by_side_in_the_same_way_are_told_of_once(clock):
    told = []
    guard = make(clock, listeners=[told.append])
    guard._sleep = lambda _seconds: None  # they wait side by side, too
    for _ in range(4):
        guard.call(Flaky(*away(2)))
    assert [(signal.attempt, signal.error) for signal in told] == [(1, "no answer"), (2, "no answer")]
    assert guard.state().retries == 8
    guard.call(Flaky(StoreUnavailable("something else")))
    clock.now += 1.0
    guard.call(Flaky(*away(1)))
    assert [signal.error for signal in told[2:]] == ["something else", "no answer"]


def test_each_dependency_has_a_guard_of_its_own_as_configured():
    config = ResilienceConfig(vector_store=DependencyConfig(retry=RetryConfig(attempts=1)))
    guards = Guards(config, sleep=lambda _seconds: None)
    work = Flaky(DatabaseUnavailable("away"))
    with pytest.raises(DatabaseUnavailable):
        guards["vector_store"].call(work)
    assert guards["cache"].call(Flaky(*away(1))) == "answer"
    assert [(state.name, state.calls) for state in guards.states()] == [("cache", 2), ("vector_store", 1)]


def test_a_guard_is_the_same_whenever_it_is_asked_for_and_instances_are_told_apart():
    guards = Guards(ResilienceConfig())
    assert guards["sources"] is guards.guard("sources")
    assert guards.guard("sources", "manuals") is guards.guard("sources", "manuals")
    assert guards.guard("sources", "manuals") is not guards.guard("sources", "wiki")
    assert [state.name for state in guards.states()] == ["sources", "sources:manuals", "sources:wiki"]
