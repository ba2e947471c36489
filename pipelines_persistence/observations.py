"""What was found when a dependency was looked at: by the doctor, in Dagster, in the history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

Measure = int | float | str


class Health(StrEnum):
    """How a dependency is."""

    OK = "ok"
    DEGRADED = "degraded"
    """It answers, and something is beyond a threshold."""

    FAILED = "failed"
    ABSENT = "absent"
    """It is not configured, or not installed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one thing is within its threshold.

    Attributes:
        check: what was looked at, such as "latency".
        detail: a sentence for people, which says what to do where it is not.
    """

    check: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a dependency.

    Attributes:
        dependency: its name, such as "vector_store"; several of a kind are told apart, as in "collection:docs-3".
        latency: seconds of a round trip, without what is needed only once, such as connecting; 0 where it failed, for how long
            somebody waited is no latency.
        version: of the server or the package; "" where it is not known.
        measures: numbers, and words such as the state of an optimizer.
        detail: a sentence for people, without secrets.
        verdicts: what was held against a threshold.
        observed_at: when, UTC.
    """

    dependency: str
    status: Health
    latency: float
    observed_at: datetime
    version: str = ""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    detail: str = ""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def kind(self) -> str:
        """The name without what tells several of a kind apart."""
        return self.dependency.partition(":")[0]


class ObservationHistory(Protocol):
    """Keeps observations; `tests/contract/test_observations.py` holds the suite."""

    def record(self, found: "list[Observation]") -> None:
        """Keep some observations, all or none; their verdicts are not kept, for thresholds change.

        Raises:
            StorageError: they cannot be written.
        """

    def history(self, dependency: str, limit: int = 100) -> "list[Observation]":
        """Return the last observations of a dependency, the newest first."""

    def dependencies(self) -> list[str]:
        """Return the names of all that were observed, sorted."""

    def prune(self, before: datetime) -> int:
        """Forget what was observed before a moment; return how many observations that were."""
