"""Looks at a dependency, within a deadline, and holds what was found against the thresholds. Never raises."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from pipelines_persistence.configuration import HealthConfig
from pipelines_persistence.errors import CircuitOpen, PipelinesError
from pipelines_persistence.health.thresholds import judge
from pipelines_persistence.observations import Health, Measure, Observation, Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found of a dependency that answers.

    Attributes:
        detail: a sentence for people, without secrets.
        latency: seconds of a round trip.
        measures: numbers, and words; see `thresholds` for those that are judged.
        limits: thresholds that belong to this dependency alone, by the name of the measure.
    """

    detail: str
    version: str = ""
    latency: float = 0.0
    measures: Mapping[str, Measure] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)


class Probe(NamedTuple):
    """How to look at a dependency, and its version where it does not tell."""

    dependency: str
    look: Callable[[], Finding | None]
    version: str = ""


def observe(probe: Probe, config: HealthConfig) -> Observation:
    """Look, and say how it is; a probe that returns None says that the dependency is not there, and need not be."""
    observed_at = datetime.now(UTC)
    try:
        found = _within(probe.look, config.deadline)
    except Exception as error:  # noqa: BLE001 - a diagnosis reports whatever it meets
        return _failed(probe, _in_words(error), observed_at)
    if found is None:
        return Observation(probe.dependency, Health.ABSENT, 0.0, observed_at, detail="not configured")
    verdicts = judge(found.latency, found.measures, found.limits, config)
    wrong = [verdict.detail for verdict in verdicts if not verdict.passed]
    return Observation(
        dependency=probe.dependency,
        status=Health.DEGRADED if wrong else Health.OK,
        latency=found.latency,
        observed_at=observed_at,
        version=found.version or probe.version,
        measures=found.measures,
        detail="; ".join([found.detail, *wrong]),
        verdicts=verdicts,
    )


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what some work returns, and how long it took (seconds)."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _within(work: Callable[[], T], seconds: float) -> T:
    """Run in a thread that is left behind when it does not end in time: drivers cannot be stopped from outside."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as error:  # noqa: BLE001 - raised again where it was asked for
            answer.set_exception(error)

    threading.Thread(target=run, name="probe", daemon=True).start()
    if not wait([answer], seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} s: it hangs, or the way to it does")
    return answer.result()


def _failed(probe: Probe, detail: str, observed_at: datetime) -> Observation:
    return Observation(
        dependency=probe.dependency,
        status=Health.FAILED,
        latency=0.0,
        observed_at=observed_at,
        version=probe.version,
        detail=detail,
        verdicts=(Verdict("reachable", passed=False, detail=detail),),
    )


def _in_words(error: Exception) -> str:
    if isinstance(error, CircuitOpen):  # whose own words send people to the doctor
        return f"{error.dependency} is left alone for {error.retry_after:.0f} s more, see its circuit"
    return (
        str(error) if isinstance(error, PipelinesError | TimeoutError) else f"{type(error).__name__}: {error}"
    )
