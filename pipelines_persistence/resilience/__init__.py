"""Retries and circuit breakers, for each dependency: see docs/resilience.md."""

from pipelines_persistence.resilience.breaker import BreakerCounts, CircuitBreaker, is_failure
from pipelines_persistence.resilience.guard import Guard, GuardState
from pipelines_persistence.resilience.registry import Dependency, Guards
from pipelines_persistence.resilience.signals import (
    LOGGER,
    CircuitChanged,
    CircuitState,
    Listener,
    RetryScheduled,
    Signal,
)

__all__ = [
    "LOGGER",
    "BreakerCounts",
    "CircuitBreaker",
    "CircuitChanged",
    "CircuitState",
    "Dependency",
    "Guard",
    "GuardState",
    "Guards",
    "Listener",
    "RetryScheduled",
    "Signal",
    "is_failure",
]
