"""The state of the indexes and the health of what they depend on."""

import json
import platform as machine
import shutil
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from pipelines_persistence.configuration import EmbeddingConfig, IndexConfig
from pipelines_persistence.errors import IndexNotFound, PipelinesError
from pipelines_persistence.records import Generation, Outcome, RunRecord

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
_LOW_SPACE = 2**30


def index_status(platform: "Platform") -> "list[dict[str, Json]]":
    """Return each index, ingested or only configured, by name."""
    live = {generation.index: generation for generation in platform.ledger.live_generations()}
    configured = platform.settings.indexes
    return [_status(platform, name, live.get(name)) for name in sorted({*live, *configured})]


def _status(platform: "Platform", name: str, generation: Generation | None) -> "dict[str, Json]":
    totals = platform.ledger.totals(generation) if generation else {}
    last = next(iter(platform.ledger.runs(name, 1)), None)
    return {
        "index": name,
        "documents": totals.get(Outcome.INDEXED, 0),
        "outcomes": {str(outcome): count for outcome, count in totals.items()},
        "points": _points(platform, generation) if generation else 0,
        "fingerprint": generation.fingerprint if generation else None,
        "collection": generation.collection if generation else None,
        "last_run": _run(last) if last else None,
    }


def _points(platform: "Platform", generation: Generation) -> int:
    try:
        return platform.store.count(generation.collection)
    except IndexNotFound:
        return 0  # the store was lost; the next run fills it again


def _run(run: RunRecord) -> "dict[str, Json]":
    finished = run.finished_at.isoformat() if run.finished_at else None
    report = json.loads(run.report or "{}")
    numbers = {
        key: report.get(key) for key in ("documents", "embedded", "reused", "seconds") if key in report
    }
    return {
        "state": str(run.state),
        "started_at": run.started_at.isoformat(),
        "finished_at": finished,
        **numbers,
    }


def diagnose(platform: "Platform") -> "list[dict[str, Json]]":
    """Try each dependency and return what was found; a check never raises."""
    return [
        _check("python", machine.python_version(), machine.platform),
        _check("home", "", partial(_home, platform)),
        _check("configuration", "", partial(_configuration, platform)),
        _check("ledger", _version("sqlalchemy"), partial(_ledger, platform)),
        _check("events", _version("sqlalchemy"), partial(_events, platform)),
        _check("vector store", _version("qdrant-edge-py"), partial(_store, platform)),
        *(
            _check(f"embedder {c.backend}", _version(c.backend), partial(_embed, platform, c))
            for c in _embeddings(platform)
        ),
        *(_package(name) for name in _PACKAGES),
    ]


def _check(name: str, version_: str, probe: Callable[[], str]) -> "dict[str, Json]":
    try:
        status, detail = "ok", probe()
    except PipelinesError as error:
        status, detail = "failed", str(error)
    except Exception as error:  # noqa: BLE001 - a diagnosis reports whatever it meets
        status, detail = "failed", f"{type(error).__name__}: {error}"
    return {"name": name, "status": status, "version": version_, "detail": detail}


def _package(name: str) -> "dict[str, Json]":
    found = _version(name)
    return {
        "name": name,
        "status": "ok" if found else "absent",
        "version": found,
        "detail": "installed package",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _home(platform: "Platform") -> str:
    platform.settings.require_writable_home()
    free = shutil.disk_usage(platform.home).free
    warning = "; LOW" if free < _LOW_SPACE else ""
    return f"{platform.home}: writable, {free / 2**30:.1f} GiB free{warning}"


def _configuration(platform: "Platform") -> str:
    indexes = platform.settings.indexes
    return (
        f"{platform.settings.config}: {', '.join(indexes) or 'no such file; only indexes made with --docs'}"
    )


def _ledger(platform: "Platform") -> str:
    live = platform.ledger.live_generations()
    return f"answers; {len(live)} live indexes"


def _events(platform: "Platform") -> str:
    eventing = platform.eventing
    lag = eventing.store.fence_lag()
    held = (
        f"; {lag.events} events held back for {lag.seconds:.0f} s by an open transaction"
        if lag.events
        else ""
    )
    return (
        f"{eventing.database.url.render_as_string()}: answers, the log ends at {eventing.store.head()}{held}"
    )


def _store(platform: "Platform") -> str:
    points = {name: platform.store.count(name) for name in platform.store.collections()}
    unknown = [name for name in points if platform.ledger.by_collection(name) is None]
    told = f"; no index knows {', '.join(unknown)}" if unknown else ""
    return f"answers; {len(points)} collections, {sum(points.values())} points{told}"


def _embeddings(platform: "Platform") -> list[EmbeddingConfig]:
    """Return each embedding that is in use or configured, once."""
    found: dict[EmbeddingConfig, None] = {}
    try:
        for generation in platform.ledger.live_generations():
            found[IndexConfig.model_validate_json(generation.configuration).embedding] = None
        for config in platform.settings.indexes.values():
            found[config.embedding] = None
    except PipelinesError:
        pass  # said by the checks of the ledger and the configuration
    return list(found) or [EmbeddingConfig()]


def _embed(platform: "Platform", config: EmbeddingConfig) -> str:
    vector = platform.embedder(config).embed_query("is the embedder well?")
    return f"{config.model if config.backend != 'hash' else 'hash'}: embeds, dimension {len(vector)}"
