"""Times two things in turn, so that a machine whose speed drifts does not favour one of them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """How many times as fast the first was as the second; above 1 is faster.

    Attributes:
        median, low, high: of the ratios of neighbouring runs.
        rate: of the first, in `unit` per second, for orientation only.
    """

    name: str
    median: float
    low: float
    high: float
    rate: float
    unit: str


def compare(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    amount: int,
    unit: str,
    rounds: int = 5,
) -> Figure:
    """Run `ours` and `theirs` alternately after one warm-up of each, and return the ratio of their speeds."""
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratios = [their / our for our, their in pairs]
    best = statistics.median(our for our, _ in pairs)
    return Figure(name, statistics.median(ratios), min(ratios), max(ratios), amount / best, unit)


def seconds(work: Callable[[], object]) -> float:
    """Return how long the work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
