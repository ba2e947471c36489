"""Lets a signal wait until the batch at hand is finished."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipelines_persistence.errors import RunCancelled

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PendingInterrupt:
    """Whether someone asked to stop."""

    def __init__(self) -> None:
        """Nobody has."""
        self.signal: int | None = None

    def check(self) -> None:
        """Stop here if asked to.

        Raises:
            RunCancelled: a signal came since the last check.
        """
        if self.signal is not None:
            name = signal.Signals(self.signal).name
            raise RunCancelled(f"stopped by {name} between two batches; run it again to go on from here")


@contextmanager
def deferred_interrupts(*, hand_back: bool = False) -> Iterator[PendingInterrupt]:
    """Hold SIGINT and SIGTERM back within the block; a second one acts at once.

    Args:
        hand_back: raise the signal again after the block, for a host that has its own way to end a run.
    """
    pending = PendingInterrupt()
    if threading.current_thread() is not threading.main_thread():
        yield pending  # Python delivers signals to the main thread only: there is nothing to hold back here
        return
    previous = {int(number): signal.getsignal(number) for number in _SIGNALS}

    def remember(number: int, _frame: FrameType | None) -> None:
        pending.signal = number
        signal.signal(number, previous[number])

    for number in _SIGNALS:
        signal.signal(number, remember)
    try:
        yield pending
    finally:
        for held, handler in previous.items():
            signal.signal(held, handler)
        if hand_back and pending.signal is not None:
            signal.raise_signal(pending.signal)
