"""Observations in Dagster's terms: metadata that plots itself, and results of checks."""

from collections.abc import Iterator, Sequence

import dagster as dg

from pipelines_persistence.defs.health.dependencies import REACHABLE, Dependency
from pipelines_persistence.observations import Health, Observation


def observation_of(dependency: Dependency, found: Sequence[Observation]) -> dg.AssetObservation:
    """Return one observation of an asset from those of the dependency and its parts."""
    return dg.AssetObservation(
        asset_key=dependency.key,
        description="; ".join(one.detail for one in found),
        metadata={key: value for one in found for key, value in _metadata(one).items()},
    )


def results_of(dependency: Dependency, found: Sequence[Observation]) -> Iterator[dg.AssetCheckResult]:
    """Yield a result for each check: it fails if it fails for the dependency or any part of it."""
    for check in dependency.all_checks:
        wrong = _wrong(check, found)
        yield dg.AssetCheckResult(
            asset_key=dependency.key,
            check_name=check,
            passed=not wrong,
            severity=dg.AssetCheckSeverity.ERROR if check == REACHABLE else dg.AssetCheckSeverity.WARN,
            description="; ".join(wrong) or None,
        )


def _wrong(check: str, found: Sequence[Observation]) -> list[str]:
    verdicts = [
        f"{one.dependency}: {verdict.detail}"
        for one in found
        for verdict in one.verdicts
        if verdict.check == check and not verdict.passed
    ]
    if check == REACHABLE:
        return verdicts
    # Nothing is known of what does not answer: no reason to call it well.
    silent = [one.dependency for one in found if one.status is Health.FAILED]
    return verdicts + [f"{name}: not measured, for it does not answer" for name in silent]


def _metadata(one: Observation) -> dict[str, int | float | str]:
    instance = one.dependency.partition(":")[2]
    prefix = f"{instance}: " if instance else ""
    if one.status is Health.FAILED:  # no number of it is worth a plot
        return {f"{prefix}status": str(one.status), f"{prefix}reason": one.detail}
    values = {"status": str(one.status), "latency": one.latency, **one.measures}
    if one.version:
        values["version"] = one.version
    return {f"{prefix}{name}": value for name, value in values.items()}
