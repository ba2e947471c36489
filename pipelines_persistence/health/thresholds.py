"""From when on a measure is worth a warning."""

from collections.abc import Iterator, Mapping

from pipelines_persistence.configuration import HealthConfig
from pipelines_persistence.observations import Measure, Verdict

INDEXED_FROM = 50_000
"""Points from which on a collection has to have a graph: below, a scan is exact and takes milliseconds."""

FENCE_LAG = "fence_lag"


def judge(
    latency: float, measures: Mapping[str, Measure], limits: Mapping[str, float], config: HealthConfig
) -> tuple[Verdict, ...]:
    """Return a verdict for each measure that there is a threshold for.

    Args:
        latency: seconds of a round trip.
        measures: what was found.
        limits: thresholds of this dependency alone: `fence_lag` in seconds.
        config: those of all.
    """
    verdicts = [Verdict("reachable", passed=True, detail="answers"), _latency(latency, config)]
    for look in (_free_space, _indexed_share, _state):
        verdicts += look(measures, config)
    if FENCE_LAG in limits:
        verdicts.append(_fence_lag(float(measures.get(FENCE_LAG, 0.0)), limits[FENCE_LAG]))
    return tuple(verdicts)


def _latency(latency: float, config: HealthConfig) -> Verdict:
    return Verdict(
        "latency",
        passed=latency <= config.latency,
        detail=f"a round trip took {latency:.3f} s, and {config.latency:g} s are allowed",
    )


def _free_space(measures: Mapping[str, Measure], config: HealthConfig) -> Iterator[Verdict]:
    if "free_bytes" in measures:
        free = int(measures["free_bytes"])
        yield Verdict(
            "free_space",
            passed=free >= config.free_space,
            detail=f"{free / 2**30:.1f} GiB are free, and at least {config.free_space / 2**30:.1f} GiB should be",
        )


def _indexed_share(measures: Mapping[str, Measure], config: HealthConfig) -> Iterator[Verdict]:
    if "indexed_share" in measures:
        share, points = float(measures["indexed_share"]), int(measures.get("points", 0))
        yield Verdict(
            "indexed_share",
            passed=points < INDEXED_FROM or share >= config.indexed_share,
            detail=f"{share:.0%} of {points} vectors are in the graph, and {config.indexed_share:.0%} should be: the rest is "
            "scanned; wait for the optimizer, or see why it does not run",
        )


def _state(measures: Mapping[str, Measure], config: HealthConfig) -> Iterator[Verdict]:
    del config
    if "optimizer" in measures:
        status, optimizer = measures.get("status", "green"), measures["optimizer"]
        yield Verdict(
            "optimizer",
            passed=status != "red" and optimizer == "ok",
            detail=f"the collection is {status}, its optimizer says: {optimizer}",
        )


def _fence_lag(seconds: float, most: float) -> Verdict:
    return Verdict(
        FENCE_LAG,
        passed=seconds <= most,
        detail=f"an open transaction holds events back for {seconds:.0f} s, and {most:g} s are allowed",
    )
