"""Our circuit breaker and guard against pybreaker, purgatory, circuitbreaker and stamina, call by call.

The first two figures are acceptance of the issue: calls of threads run side by side, and exactly one call probes.
"""

import contextlib
import datetime as dt
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measure import Figure, compare, seconds
from pipelines_persistence.configuration import BreakerConfig, DependencyConfig
from pipelines_persistence.errors import StoreUnavailable
from pipelines_persistence.resilience import CircuitBreaker, Guard

_THREADS = 8
_CALLS = 20_000
_Caller = Callable[[Callable[[], object]], object]


def settings() -> list[str]:
    """Say what the ratios do not: how long eight calls of 100 ms take, and how many of eight threads probe."""
    lines = []
    for name, (make, failure) in _makers().items():
        lines.append(
            f"{name}: 8 threads x 100 ms in {_together(make):.3f} s; {_probes(make, failure)} of 8 threads probe"
        )
    return lines


def figures() -> Iterator[Figure]:
    """Compare; the floors are what the issue asks for, and of the peers only that ours is no slower than the fastest."""
    make, failure = _makers()["ours"]
    floor_of_threads = _in_threads_figure(make)
    yield floor_of_threads
    probes = _probes(make, failure)
    yield Figure(
        "half-open: 1 : threads of eight that probe", 1 / probes, 1 / probes, 1 / probes, 1, "probe", 1.0
    )
    yield _cost_figure(make)
    for name, (make_peer, _) in _makers().items():
        if name != "ours":
            yield compare(
                f"a call, our breaker : {name}",
                _many(make(5.0)),
                _many(make_peer(5.0)),
                amount=_CALLS,
                unit="calls",
            )
    yield compare(
        "a call, our guard (retry and breaker) : stamina (retry alone)",
        _many(Guard("bench", DependencyConfig()).call),
        _many(_stamina()),
        amount=_CALLS,
        unit="calls",
    )


def _together(make: Callable[[float], _Caller]) -> float:
    call = make(5.0)
    return seconds(lambda: _in_threads(call, lambda: time.sleep(0.1)))


def _in_threads_figure(make: Callable[[float], _Caller]) -> Figure:
    ratios = sorted(0.12 / _together(make) for _ in range(5))
    return Figure(
        "0.12 s : 8 threads x 100 ms",
        ratios[2],
        ratios[0],
        ratios[-1],
        _THREADS * ratios[2] / 0.12,
        "calls",
        1.0,
    )


def _cost_figure(make: Callable[[float], _Caller]) -> Figure:
    plain = min(seconds(_many(lambda work: work())) for _ in range(5))
    costs = sorted((seconds(_many(make(5.0))) - plain) / _CALLS for _ in range(5))
    low, median, high = 2e-6 / costs[-1], 2e-6 / costs[2], 2e-6 / costs[0]
    return Figure("2 us : what the breaker adds to a call", median, low, high, 1 / costs[2], "calls", 1.0)


def _many(call: _Caller) -> Callable[[], None]:
    def run() -> None:
        for _ in range(_CALLS):
            call(_nothing)

    return run


def _nothing() -> None:
    pass


def _in_threads(call: _Caller, work: Callable[[], object]) -> list[str]:
    barrier, outcomes = threading.Barrier(_THREADS), []

    def run() -> None:
        barrier.wait()
        try:
            call(work)
        except Exception as error:  # noqa: BLE001 - each library has its own
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("done")

    threads = [threading.Thread(target=run) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _probes(make: Callable[[float], _Caller], failure: Exception) -> int:
    """Open a breaker, wait for the end of its break, and count the calls of eight threads that pass."""
    call, passed = make(0.2), []

    def fail() -> None:
        raise failure

    for _ in range(20):
        with contextlib.suppress(Exception):  # each library has its own
            call(fail)
    time.sleep(0.3)

    def probe() -> None:
        passed.append(1)
        time.sleep(0.1)

    _in_threads(call, probe)
    return len(passed)


def _makers() -> dict[str, tuple[Callable[[float], _Caller], Exception]]:
    """Return by name what makes a breaker with a break of so many seconds, and an error that it counts."""
    return {
        "ours": (
            lambda rest: CircuitBreaker("bench", BreakerConfig(seconds=rest)).call,
            StoreUnavailable("no answer"),
        ),
        "pybreaker": (_pybreaker, OSError("no answer")),
        "purgatory": (_purgatory, OSError("no answer")),
        "circuitbreaker": (_circuitbreaker, OSError("no answer")),
    }


def _pybreaker(rest: float) -> _Caller:
    import pybreaker

    breaker: Any = pybreaker.CircuitBreaker(fail_max=10, reset_timeout=rest)
    call: _Caller = breaker.call
    return call


def _purgatory(rest: float) -> _Caller:
    from purgatory import SyncCircuitBreakerFactory

    factory: Any = SyncCircuitBreakerFactory(default_threshold=10, default_ttl=rest)

    def call(work: Callable[[], object]) -> object:
        with factory.get_breaker("bench"):
            return work()

    return call


def _circuitbreaker(rest: float) -> _Caller:
    from circuitbreaker import CircuitBreaker as Peer

    peer: Any = Peer(failure_threshold=10, recovery_timeout=rest)
    call: _Caller = peer.call
    return call


def _stamina() -> _Caller:
    import stamina

    caller = stamina.RetryingCaller(attempts=4, timeout=dt.timedelta(seconds=60))
    return lambda work: caller(OSError, work)


if __name__ == "__main__":
    print(*settings(), sep="\n", file=sys.stderr)
