"""The circuit breaker, on a clock of its own."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.configuration import BreakerConfig
from pipelines_persistence.errors import (
    CircuitOpen,
    ConcurrencyConflict,
    IndexBusy,
    StoreError,
    StoreUnavailable,
)
from pipelines_persistence.resilience import CircuitBreaker, CircuitState
from pipelines_persistence.resilience.window import SamplingWindow

CONFIG = BreakerConfig(failure_ratio=0.5, window=10, minimum=4, seconds=5)
CLOSED, OPEN, HALF_OPEN, ISOLATED = (
    CircuitState.CLOSED,
    CircuitState.OPEN,
    CircuitState.HALF_OPEN,
    CircuitState.ISOLATED,
)


@pytest.fixture
def signals():
    return []


@pytest.fixture
def breaker(clock, signals):
    return CircuitBreaker("qdrant", CONFIG, clock=clock, listeners=[signals.append])


def fail(error=None):
    raise error or StoreUnavailable("no answer")


def failing(breaker, times=1, error=None):
    for _ in range(times):
        with pytest.raises((StoreUnavailable, CircuitOpen, Exception)):
            breaker.call(lambda: fail(error))


def opened(breaker):
    failing(breaker, 4)
    assert breaker.state is OPEN
    return breaker


def test_a_call_returns_what_the_work_returns(breaker):
    assert breaker.call(lambda: 42) == 42
    assert breaker.state is CLOSED


def test_too_large_a_share_of_failures_opens_it_and_nothing_passes_any_more(breaker):
    opened(breaker)
    with pytest.raises(CircuitOpen) as caught:
        breaker.call(lambda: pytest.fail("the work was done"))
    assert caught.value.dependency == "qdrant"
    assert caught.value.retry_after == pytest.approx(5)


def test_fewer_calls_than_the_minimum_never_open_it(breaker):
    failing(breaker, 3)
    assert breaker.state is CLOSED


def test_a_share_below_the_ratio_does_not_open_it(breaker):
    for _ in range(5):
        breaker.call(lambda: 1)
    failing(breaker, 4)
    assert breaker.state is CLOSED
    failing(breaker, 1)
    assert breaker.state is OPEN


def test_what_lies_before_the_window_counts_no_more(breaker, clock):
    failing(breaker, 3)
    clock.now += 11
    failing(breaker, 1)
    assert breaker.state is CLOSED


def test_after_the_break_one_success_closes_it_and_forgets_the_failures(breaker, clock):
    opened(breaker)
    clock.now += 5
    assert breaker.call(lambda: 42) == 42
    assert breaker.state is CLOSED
    failing(breaker, 3)
    assert breaker.state is CLOSED


def test_after_the_break_one_failure_opens_it_again_for_as_long(breaker, clock):
    opened(breaker)
    clock.now += 5
    failing(breaker)
    clock.now += 4.9
    with pytest.raises(CircuitOpen) as caught:
        breaker.call(lambda: 42)
    assert caught.value.retry_after == pytest.approx(0.1)
    clock.now += 0.1
    assert breaker.call(lambda: 42) == 42


@pytest.mark.parametrize(
    "error", [StoreError("wrong"), IndexBusy("held"), ConcurrencyConflict("a-1", 1, 2), ValueError("bug")]
)
def test_an_error_of_the_caller_is_no_failure_of_the_dependency(breaker, error):
    failing(breaker, 20, error)
    assert breaker.state is CLOSED
    assert breaker.counts().failures == 0


def test_an_answer_that_refuses_is_an_answer_and_closes_it(breaker, clock):
    opened(breaker)
    clock.now += 5
    failing(breaker, 1, StoreError("wrong dimension"))
    assert breaker.state is CLOSED


def test_an_interrupted_probe_leaves_the_next_call_to_probe(breaker, clock):
    opened(breaker)
    clock.now += 5
    with pytest.raises(KeyboardInterrupt):
        breaker.call(lambda: fail(KeyboardInterrupt()))
    assert breaker.call(lambda: 42) == 42
    assert breaker.state is CLOSED


class Held:
    """A call in a thread of its own that waits until it is let go."""

    def __init__(self, breaker, error=None):
        self.started, self.release, self.error = threading.Event(), threading.Event(), error
        self.thread = threading.Thread(target=self._run, args=(breaker,))
        self.thread.start()
        assert self.started.wait(5)

    def _run(self, breaker):
        try:
            breaker.call(self._work)
        except StoreUnavailable:
            assert self.error

    def _work(self):
        self.started.set()
        assert self.release.wait(5)
        if self.error:
            raise self.error

    def end(self):
        self.release.set()
        self.thread.join()


def test_while_one_call_probes_all_others_are_turned_away(breaker, clock):
    opened(breaker)
    clock.now += 5
    probe = Held(breaker)
    for _ in range(7):
        with pytest.raises(CircuitOpen):
            breaker.call(lambda: pytest.fail("a second probe"))
    probe.end()
    assert breaker.state is CLOSED


def test_of_eight_threads_that_come_at_once_exactly_one_probes(breaker, clock):
    opened(breaker)
    clock.now += 5
    barrier, outcomes = threading.Barrier(8), []

    def run():
        barrier.wait()
        try:
            outcomes.append(breaker.call(lambda: time.sleep(0.05) or "probed"))
        except CircuitOpen:
            outcomes.append("turned away")

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["probed"] + ["turned away"] * 7


def test_a_probe_that_hangs_does_not_block_the_next_one_for_ever(breaker, clock):
    opened(breaker)
    clock.now += 5
    hanging = Held(breaker, StoreUnavailable("at last"))
    clock.now += 5
    assert breaker.call(lambda: 42) == 42
    hanging.end()
    assert breaker.state is CLOSED  # an outcome from before says nothing of now


def test_a_success_that_began_before_it_opened_does_not_close_it(breaker):
    slow = Held(breaker)
    opened(breaker)
    slow.end()
    assert breaker.state is OPEN


def test_calls_run_side_by_side(breaker):
    together = threading.Barrier(8)
    threads = [threading.Thread(target=breaker.call, args=(lambda: together.wait(5),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.broken  # each waited for the seven others, within its call
    assert breaker.counts().calls == 8


def test_isolated_by_hand_it_stays_so_until_it_is_reset(breaker, clock):
    breaker.isolate()
    clock.now += 1000
    with pytest.raises(CircuitOpen):
        breaker.call(lambda: 42)
    assert breaker.state is ISOLATED
    breaker.reset()
    assert breaker.call(lambda: 42) == 42


def test_listeners_hear_of_each_change_with_its_reason(breaker, clock, signals):
    opened(breaker)
    clock.now += 5
    breaker.call(lambda: 42)
    assert [(signal.before, signal.after) for signal in signals] == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
    ]
    assert str(signals[0]) == ("qdrant: the circuit is open: 4 of 4 calls failed, the last with: no answer")


def test_a_listener_may_ask_the_breaker_and_may_fail(clock, caplog):
    states = []

    def curious(_signal):
        states.append(breaker.counts().state)
        raise RuntimeError("a bug in a listener")

    breaker = CircuitBreaker("qdrant", CONFIG, clock=clock, listeners=[curious])
    opened(breaker)
    assert states == [OPEN]
    assert "a bug in a listener" in caplog.text


def test_it_counts_what_it_sees(breaker, clock):
    breaker.call(lambda: 1)
    failing(breaker, 3)
    failing(breaker, 3)
    clock.now += 2
    counts = breaker.counts()
    assert (counts.state, counts.calls, counts.failures, counts.rejected, counts.opened) == (OPEN, 4, 3, 3, 1)
    assert counts.seconds == pytest.approx(2)
    assert counts.last_error == "no answer"


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=60))
def test_the_window_counts_what_a_list_of_all_calls_says(steps):
    window, calls, now = SamplingWindow(10.0), [], 50.0
    for step, failed in steps:
        now += step
        (window.failed if failed else window.succeeded)(now)
        calls.append((int(now / 1.0), failed))
        inside = [failed for number, failed in calls if number > int(now / 1.0) - 10]
        assert window.counts(now) == (len(inside), sum(inside))
