"""What the doctor says: dependencies, circuits, packages."""

import contextlib
import platform as machine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipelines_persistence.configuration import HealthConfig
from pipelines_persistence.errors import ConfigurationError, PipelinesError
from pipelines_persistence.health.probes import package_version, probes
from pipelines_persistence.health.probing import observe
from pipelines_persistence.observations import Health, Observation
from pipelines_persistence.resilience import CircuitState, GuardState

if TYPE_CHECKING:
    from pipelines_persistence.platform import Platform
    from pipelines_persistence.records import Json

_PACKAGES = (
    "dagster",
    "qdrant-edge-py",
    "qdrant-client",
    "openvino",
    "sentence-transformers",
    "sqlalchemy",
    "redis",
)


def observe_all(platform: "Platform") -> list[Observation]:
    """Look at each dependency, once, and keep what was found where that is possible; never raises.

    One after the other, each within a deadline: what they share is opened by the first that needs it.
    """
    config = _config(platform)
    found = _told_once([observe(probe, config) for probe in probes(platform)])
    with contextlib.suppress(PipelinesError):  # a home that cannot be written was observed, too
        platform.observations.record([one for one in found if one.status is not Health.ABSENT])
        platform.observations.prune(datetime.now(UTC) - timedelta(days=config.history))
    return found


def _told_once(found: list[Observation]) -> list[Observation]:
    """Say of what could not be looked at for want of a configuration no more than that: it need not be ill."""
    wrong = next(
        (one for one in found if one.dependency == "configuration" and one.status is Health.FAILED), None
    )
    return [
        replace(
            one, status=Health.ABSENT, verdicts=(), detail="not looked at: the configuration cannot be read"
        )
        if wrong and one is not wrong and one.detail == wrong.detail
        else one
        for one in found
    ]


def diagnose(platform: "Platform") -> "list[dict[str, Json]]":
    """Look at each dependency and say what was found, line by line; never raises."""
    found = observe_all(platform)
    return [
        _line("python", Health.OK, machine.python_version(), machine.platform()),
        *(_line(one.dependency, one.status, one.version, one.detail, one) for one in found),
        *_circuits(platform),
        *(_package(name) for name in _PACKAGES),
    ]


def history(platform: "Platform", limit: int) -> "list[dict[str, Json]]":
    """Return the last observations of each dependency, by name, the newest first.

    Raises:
        StorageError: the ledger cannot be read.
    """
    kept = platform.observations
    return [
        {
            **_line(one.dependency, one.status, one.version, one.detail, one),
            "observed_at": one.observed_at.isoformat(timespec="seconds"),
        }
        for name in kept.dependencies()
        for one in kept.history(name, limit)
    ]


def _config(platform: "Platform") -> HealthConfig:
    try:
        return platform.settings.configuration.health
    except ConfigurationError:
        return HealthConfig()  # said by the probe of the configuration


def _line(
    dependency: str, status: Health, version: str, detail: str, observation: Observation | None = None
) -> "dict[str, Json]":
    measured: dict[str, Json] = {}
    if observation is not None:
        latency = None if status is Health.FAILED else round(observation.latency, 6)
        measured = {"latency": latency, "measures": dict(observation.measures)}
    name = dependency.replace("_", " ", 1) if ":" not in dependency else dependency.replace(":", " ", 1)
    return {"name": name, "status": str(status), "version": version, "detail": detail, **measured}


def _circuits(platform: "Platform") -> "list[dict[str, Json]]":
    with contextlib.suppress(ConfigurationError):  # said by the probe of the configuration
        return [_circuit(state) for state in platform.guards.states() if state.calls or state.rejected]
    return []


def _circuit(state: GuardState) -> "dict[str, Json]":
    status = Health.OK if state.state is CircuitState.CLOSED else Health.DEGRADED
    told = (
        f"{state.state.replace('_', '-')} for {state.seconds:.0f} s; {state.calls} calls, {state.failures} failed, "
        f"{state.retries} repeated, {state.rejected} turned away, opened {state.opened} times"
    )
    last = f"; the last failure: {state.last_error}" if state.last_error else ""
    return _line(f"circuit:{state.name}", status, "", told + last)


def _package(name: str) -> "dict[str, Json]":
    found = package_version(name)
    return _line(name, Health.OK if found else Health.ABSENT, found, "installed package")
