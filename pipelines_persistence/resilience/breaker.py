"""A circuit breaker with the semantics of Polly 8: https://www.pollydocs.org/strategies/circuit-breaker.

It opens when the share of failures within a sampling window is too high and there were enough calls to tell, stays open
for a while, then lets exactly one call try; that call's outcome closes it or opens it again. The lock is held for the
state, never during a call: calls run side by side.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from pipelines_persistence.configuration import BreakerConfig
from pipelines_persistence.errors import CircuitOpen, IndexBusy, TransientError
from pipelines_persistence.resilience.signals import CircuitChanged, CircuitState, Listener, tell
from pipelines_persistence.resilience.window import SamplingWindow

T = TypeVar("T")
Clock = Callable[[], float]


def is_failure(error: Exception) -> bool:
    """Tell whether an error says that a dependency is not well: what is busy or refuses a request does answer."""
    return isinstance(error, TransientError) and not isinstance(error, CircuitOpen | IndexBusy)


@dataclass(frozen=True, slots=True)
class BreakerCounts:
    """What a breaker has seen since it was made.

    Attributes:
        calls: that were let through.
        failures: of them.
        rejected: calls that were not let through.
        opened: how often it opened.
        seconds: how long it has been in its state.
        last_error: of the last failure, as text; "" for none.
    """

    state: CircuitState
    calls: int
    failures: int
    rejected: int
    opened: int
    seconds: float
    last_error: str


class CircuitBreaker:
    """Leaves a dependency alone that fails too often. Safe for threads."""

    def __init__(
        self,
        name: str,
        config: BreakerConfig,
        *,
        counts_as_failure: Callable[[Exception], bool] = is_failure,
        clock: Clock = time.monotonic,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """Take what it is for.

        Args:
            name: of the dependency, for messages.
            config: when it opens, and for how long.
            counts_as_failure: tells whether an error means that the dependency is not well; others count as successes.
            clock: monotonic, in seconds.
            listeners: are told when the state changes, outside of the lock, by the thread that changed it.
        """
        self.name = name
        self._config = config
        self._counts = counts_as_failure
        self._clock = clock
        self._listeners = listeners
        self._lock = Lock()
        self._window = SamplingWindow(config.window)
        self._state = CircuitState.CLOSED
        self._epoch = 0  # raised by each change: an outcome of an earlier one says nothing of now
        self._changed_at = clock()
        self._blocked_until = 0.0
        self._calls = self._failures = self._rejected = self._opened = 0
        self._last_error = ""

    @property
    def state(self) -> CircuitState:
        """The state; an open one stays so until a call finds that its break is over."""
        return self._state

    def call(self, work: Callable[[], T]) -> T:
        """Return what a function returns, if it may be called now.

        Raises:
            CircuitOpen: it may not.
        """
        epoch = self._enter()
        try:
            result = work()
        except Exception as error:
            if self._counts(error):
                self._failed(epoch, str(error))
            else:
                self._succeeded(epoch)
            raise
        except BaseException:  # an interrupt says nothing of the dependency
            self._abandoned(epoch)
            raise
        self._succeeded(epoch)
        return result

    def isolate(self) -> None:
        """Let nothing pass until `reset`."""
        self._turn(CircuitState.ISOLATED, "isolated by hand")

    def reset(self) -> None:
        """Let everything pass, and forget what was counted."""
        self._turn(CircuitState.CLOSED, "reset by hand")

    def counts(self) -> BreakerCounts:
        """Return what it has seen, of one moment."""
        with self._lock:
            return BreakerCounts(
                state=self._state,
                calls=self._calls,
                failures=self._failures,
                rejected=self._rejected,
                opened=self._opened,
                seconds=self._clock() - self._changed_at,
                last_error=self._last_error,
            )

    def _enter(self) -> int:
        with self._lock:
            if self._state is CircuitState.CLOSED:
                self._calls += 1
                return self._epoch
            now = self._clock()
            # A probe that hangs does not block for ever: after another break the next call is one.
            if self._state is CircuitState.ISOLATED or now < self._blocked_until:
                self._rejected += 1
                raise CircuitOpen(self.name, self._remaining(now))
            self._blocked_until = now + self._config.seconds
            self._calls += 1
            change = self._change(CircuitState.HALF_OPEN, "its break is over, one call tries", now)
            epoch = self._epoch
        tell(self._listeners, change)
        return epoch

    def _remaining(self, now: float) -> float:
        return max(self._blocked_until - now, 0.0) or self._config.seconds

    def _succeeded(self, epoch: int) -> None:
        with self._lock:
            if epoch != self._epoch:
                return
            if self._state is CircuitState.CLOSED:
                self._window.succeeded(self._clock())
                return
            change = self._change(CircuitState.CLOSED, "it answers again", self._clock())
        tell(self._listeners, change)

    def _failed(self, epoch: int, error: str) -> None:
        with self._lock:
            self._failures += 1
            self._last_error = error
            if epoch != self._epoch:
                return
            now = self._clock()
            self._window.failed(now)
            calls, failures = self._window.counts(now)
            if self._state is CircuitState.CLOSED and not self._is_too_much(calls, failures):
                return
            change = self._open(now, f"{failures} of {calls} calls failed, the last with: {error}")
        tell(self._listeners, change)

    def _is_too_much(self, calls: int, failures: int) -> bool:
        return calls >= self._config.minimum and failures >= calls * self._config.failure_ratio

    def _open(self, now: float, reason: str) -> CircuitChanged:
        self._blocked_until = now + self._config.seconds
        self._opened += 1
        return self._change(CircuitState.OPEN, reason, now)

    def _abandoned(self, epoch: int) -> None:
        with self._lock:
            if epoch == self._epoch and self._state is CircuitState.HALF_OPEN:
                self._blocked_until = 0.0  # the next call is the probe instead

    def _turn(self, state: CircuitState, reason: str) -> None:
        with self._lock:
            change = self._change(state, reason, self._clock())
        tell(self._listeners, change)

    def _change(self, state: CircuitState, reason: str, now: float) -> CircuitChanged:
        change = CircuitChanged(self.name, self._state, state, reason)
        self._state = state
        self._epoch += 1
        self._changed_at = now
        self._window.clear()
        return change
