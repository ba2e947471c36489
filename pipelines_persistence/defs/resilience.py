"""What the guards of dependencies do during a step: in the run's log, and in the metadata of the asset."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from pipelines_persistence.resilience import (
    LOGGER,
    CircuitChanged,
    CircuitState,
    GuardState,
    RetryScheduled,
    Signal,
)

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext
Metadata = Mapping[str, dg.MetadataValue | int | float | str]


def resilience_metadata(states: Iterable[GuardState]) -> Metadata:
    """Return the state of guards as metadata: numbers that plot themselves, for those that were called."""
    called = [state for state in states if state.calls or state.rejected]
    metadata: dict[str, dg.MetadataValue | int | float | str] = {}
    for state in called:
        metadata[f"{state.name}: circuit"] = str(state.state)
        metadata[f"{state.name}: calls"] = state.calls
        metadata[f"{state.name}: failures"] = state.failures
        metadata[f"{state.name}: retries"] = state.retries
        metadata[f"{state.name}: turned away"] = state.rejected
    return metadata


@contextmanager
def resilience_in_log(context: Context) -> Iterator[None]:
    """Write what guards tell to the run's log while the block runs, and count it in the asset's metadata at its end.

    A step without trouble says nothing.
    """
    logger, teller = logging.getLogger(LOGGER), _Teller(context)
    level = logger.level
    logger.addHandler(teller)
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(teller)
        logger.setLevel(level)
    # Not of a step that fails: it materializes nothing, and its error must not be hidden behind another.
    if teller.counts and isinstance(context, dg.AssetExecutionContext):
        context.add_asset_metadata(dict(teller.counts))


class _Teller(logging.Handler):
    """Writes signals to the log of a run."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        signal: Signal | None = getattr(record, "resilience", None)
        if isinstance(signal, RetryScheduled):
            self.counts[f"{signal.dependency}: retries"] += 1
        if isinstance(signal, CircuitChanged) and signal.after is CircuitState.OPEN:
            self.counts[f"{signal.dependency}: circuit opened"] += 1
        self._context.log.log(record.levelno, record.getMessage())
