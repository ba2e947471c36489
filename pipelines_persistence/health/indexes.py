"""The state of the indexes."""

import json
from typing import TYPE_CHECKING

from pipelines_persistence.errors import IndexNotFound, TransientError
from pipelines_persistence.records import Generation, Outcome, RunRecord

if TYPE_CHECKING:
    from pipelines_persistence.platform import Platform
    from pipelines_persistence.records import Json


def index_status(platform: "Platform") -> "list[dict[str, Json]]":
    """Return each index, ingested or only configured, by name; how many points it has is None while its store is away."""
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


def _points(platform: "Platform", generation: Generation) -> int | None:
    try:
        return platform.store.count(generation.collection)
    except IndexNotFound:
        return 0  # the store was lost; the next run fills it again
    except TransientError:
        return None  # all else is known here; the guard's log, and the doctor, say why this is not


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
