"""Times two things in turn, so that a machine whose speed drifts does not favour one of them."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """How many times as fast the first was as the second; above 1 is faster.

    Attributes:
        median, low, high: of the ratios of neighbouring runs.
        rate: of the first, in `unit` per second, for orientation only.
        floor: what the median must reach; 0 where it is only for the record.
    """

    name: str
    median: float
    low: float
    high: float
    rate: float
    unit: str
    floor: float = 0.0


def seconds(work: Callable[[], object]) -> float:
    """Return how long the work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    amount: int,
    unit: str,
    rounds: int = 5,
    floor: float = 0.0,
    timed: Callable[[Callable[[], Any]], float] = seconds,
) -> Figure:
    """Run `ours` and `theirs` alternately after one warm-up of each, and return the ratio of their speeds.

    Args:
        name: of the figure.
        ours: what is measured.
        theirs: what it is measured against.
        amount: how much one run does, in `unit`.
        unit: such as "events".
        rounds: how often each runs, besides the warm-up.
        floor: what the median must reach.
        timed: runs one of them and returns its seconds; by default the whole of it counts. See `itself`.
    """
    ours()
    theirs()
    pairs = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    ratios = [their / our for our, their in pairs]
    best = statistics.median(our for our, _ in pairs)
    return Figure(name, statistics.median(ratios), min(ratios), max(ratios), amount / best, unit, floor)


def prepared(prepare: Callable[[], Any], work: Callable[[Any], object]) -> Callable[[], float]:
    """Return what prepares something to work on, works on it, and returns how long only the latter took.

    What was prepared is kept out of the garbage collector's way: its size is the benchmark's, and not the work's.
    """

    def run() -> float:
        material = prepare()
        gc.collect()
        gc.freeze()
        try:
            return seconds(lambda: work(material))
        finally:
            gc.unfreeze()

    return run


def itself(work: Callable[[], float]) -> float:
    """Return what the work says it took: for `compare`, with `prepared`."""
    return work()
