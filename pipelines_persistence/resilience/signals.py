"""What guards tell of themselves: a breaker changed its state, a call is tried again. Told to listeners, and to the log."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

LOGGER = "pipelines.resilience"
"""The logger of all signals; `extra["resilience"]` of a record holds the signal."""

_logger = logging.getLogger(LOGGER)


class CircuitState(StrEnum):
    """Whether calls pass a breaker."""

    CLOSED = "closed"
    """All do."""

    OPEN = "open"
    """None does."""

    HALF_OPEN = "half_open"
    """One does, and its outcome decides."""

    ISOLATED = "isolated"
    """None does, until someone resets it by hand."""


@dataclass(frozen=True, slots=True)
class CircuitChanged:
    """A breaker changed its state.

    Attributes:
        reason: a sentence for people, without secrets.
    """

    dependency: str
    before: CircuitState
    after: CircuitState
    reason: str

    def __str__(self) -> str:
        """Return the sentence of the log."""
        return f"{self.dependency}: the circuit is {self.after.replace('_', '-')}: {self.reason}"


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A call failed for a while, and is tried again.

    Attributes:
        attempt: number of the one that failed, from 1.
        wait: seconds until the next.
        error: what it failed with, as text.
    """

    dependency: str
    attempt: int
    wait: float
    error: str

    def __str__(self) -> str:
        """Return the sentence of the log."""
        return f"{self.dependency}: attempt {self.attempt} failed, again in {self.wait:.2f} s: {self.error}"


Signal = CircuitChanged | RetryScheduled
Listener = Callable[[Signal], None]


def log_signal(signal: Signal) -> None:
    """Write a signal to the log: an end of trouble as information, all else as a warning."""
    well = isinstance(signal, CircuitChanged) and signal.after is CircuitState.CLOSED
    _logger.log(logging.INFO if well else logging.WARNING, "%s", signal, extra={"resilience": signal})


def tell(listeners: Iterable[Listener], signal: Signal) -> None:
    """Tell all listeners; one that fails is logged, for the call it hears of is none of its business."""
    for listener in listeners:
        try:
            listener(signal)
        except Exception:
            _logger.exception("a listener of %s failed", LOGGER)
