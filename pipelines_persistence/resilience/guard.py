"""Guards a dependency: a circuit breaker inside of bounded retries, for one call at a time."""

import random
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from pipelines_persistence.configuration import DependencyConfig
from pipelines_persistence.errors import CircuitOpen, IndexBusy, TransientError
from pipelines_persistence.resilience.breaker import CircuitBreaker, Clock
from pipelines_persistence.resilience.signals import CircuitState, Listener, RetryScheduled, log_signal, tell

T = TypeVar("T")
Sleep = Callable[[float], None]

_MOMENT = 1.0
"""Seconds for which equal failures of several streams are one piece of news."""

_guarded: ContextVar[frozenset[str]] = ContextVar("guarded", default=frozenset())
"""The dependencies that a caller further out already guards in this context."""


@dataclass(frozen=True, slots=True)
class GuardState:
    """A guard at one moment; counts are since it was made.

    Attributes:
        name: of the dependency.
        state: of its circuit breaker.
        calls: attempts that were made.
        failures: attempts that failed because the dependency is not well.
        retries: attempts that were repetitions.
        rejected: attempts that the open circuit did not let through.
        opened: how often the circuit opened.
        seconds: how long the circuit has been in its state.
        last_error: of the last failure; "" for none.
    """

    name: str
    state: CircuitState
    calls: int = 0
    failures: int = 0
    retries: int = 0
    rejected: int = 0
    opened: int = 0
    seconds: float = 0.0
    last_error: str = ""


def always(error: TransientError) -> bool:  # noqa: ARG001 - the signature of a predicate
    """Repeat whatever failed for a while."""
    return True


class Guard:
    """Calls a dependency: repeats what failed for a while, leaves it alone when it fails too often. Safe for threads.

    A guarded call within another of the same dependency is part of that one: it is neither repeated nor counted by
    itself, so that retries never multiply. A thread that is started within a call is outside of it.
    """

    def __init__(
        self,
        name: str,
        config: DependencyConfig,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
        jitter: Callable[[], float] = random.random,
        listeners: Sequence[Listener] = (log_signal,),
    ) -> None:
        """Take what it is for.

        Args:
            name: of the dependency, for messages.
            config: how often and how long to try, and when to leave it alone.
            clock: monotonic, in seconds.
            sleep: waits between two attempts (seconds).
            jitter: returns numbers from 0 to 1.
            listeners: are told of retries and of changes of the breaker's state; of calls that failed side by side in the same
                way, of one.
        """
        self.name = name
        self.breaker = CircuitBreaker(name, config.breaker, clock=clock, listeners=listeners)
        self._retry = config.retry
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._listeners = listeners
        self._lock = Lock()
        self._retries = 0
        self._told: dict[tuple[int, str], float] = {}

    def call(self, work: Callable[[], T], *, repeatable: Callable[[TransientError], bool] = always) -> T:
        """Return what a function returns, which may run more than once.

        Args:
            work: raises our own errors; what is no `TransientError` is never repeated.
            repeatable: tells of an error whether what failed with it may run again.

        Raises:
            CircuitOpen: the dependency failed too often a moment ago; caused by the error of the last attempt, if any.
        """
        outer = _guarded.get()
        if self.name in outer:
            return work()
        token = _guarded.set(outer | {self.name})
        deadline = self._clock() + self._retry.seconds
        try:
            return self.breaker.call(work)
        except TransientError as error:
            if not _may_repeat(error, repeatable):
                raise
            return self._repeat(work, error, repeatable, deadline)
        finally:
            _guarded.reset(token)

    def state(self) -> GuardState:
        """Return the state and the counts."""
        counts = self.breaker.counts()
        return GuardState(
            name=self.name,
            state=counts.state,
            calls=counts.calls,
            failures=counts.failures,
            retries=self._retries,
            rejected=counts.rejected,
            opened=counts.opened,
            seconds=counts.seconds,
            last_error=counts.last_error,
        )

    def _repeat(
        self,
        work: Callable[[], T],
        error: TransientError,
        repeatable: Callable[[TransientError], bool],
        deadline: float,
    ) -> T:
        for attempt in range(1, self._retry.attempts):
            wait = self._wait(attempt, error)
            # An open circuit is not waited for; nor is who asks for longer than there is: the error says how long.
            if self.breaker.state is not CircuitState.CLOSED or self._clock() + wait > deadline:
                break
            self._scheduled(attempt, wait, error)
            self._sleep(wait)
            try:
                return self.breaker.call(work)
            except CircuitOpen as rejected:
                raise rejected from error
            except TransientError as again:
                if not _may_repeat(again, repeatable):
                    raise
                error = again
        raise error

    def _wait(self, attempt: int, error: TransientError) -> float:
        longest = min(self._retry.longest, self._retry.wait * 2 ** (attempt - 1))
        jittered: float = longest * (0.5 + 0.5 * self._jitter())
        # Those who were refused together do not come back together.
        return max(jittered, (error.retry_after or 0.0) * (1 + 0.1 * self._jitter()))

    def _scheduled(self, attempt: int, wait: float, error: TransientError) -> None:
        with self._lock:
            self._retries += 1
            is_news = self._is_news(attempt, str(error))
        if is_news:
            tell(self._listeners, RetryScheduled(self.name, attempt, wait, str(error)))

    def _is_news(self, attempt: int, error: str) -> bool:
        """Tell whether nobody heard of such an attempt a moment ago; the caller holds the lock."""
        now = self._clock()
        self._told = {said: moment for said, moment in self._told.items() if now - moment < _MOMENT}
        if (attempt, error) in self._told:
            return False
        self._told[attempt, error] = now
        return True


def _may_repeat(error: TransientError, repeatable: Callable[[TransientError], bool]) -> bool:
    # What is busy waits for the one who holds it, by rules of its own.
    return not isinstance(error, CircuitOpen | IndexBusy) and repeatable(error)
