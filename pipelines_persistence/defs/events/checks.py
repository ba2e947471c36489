"""What a run says of its own work, as asset checks: they warn, and the run succeeds."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from pipelines_persistence.defs.events.naming import DEAD, EVENT_LOG, REJECTED, read_model
from pipelines_persistence.defs.events.ports import Loaded
from pipelines_persistence.defs.events.presentation import letter_table, rejected_table
from pipelines_persistence.projections import DeadLetter, ProjectionReport


def log_checks() -> list[dg.AssetCheckSpec]:
    """Return the checks that come with taking events in."""
    return [
        dg.AssetCheckSpec(
            REJECTED,
            asset=EVENT_LOG,
            description="Every line that was read holds an event, and is in the log.",
        )
    ]


def projection_checks(name: str) -> list[dg.AssetCheckSpec]:
    """Return the checks that come with running a projection."""
    return [
        dg.AssetCheckSpec(
            DEAD,
            asset=read_model(name),
            description="Every event up to the checkpoint was worked into the read model.",
        )
    ]


def judge_load(loaded: Loaded) -> list[dg.AssetCheckResult]:
    """Judge a load: what is wrong is a warning, for all the rest is in. A file is read once, but counts until it is mended."""
    report: dict[str, Any] = dict(loaded.as_json())
    rejected, broken = report["rejected"], report.get("broken", {})
    malformed = report.get("malformed", report.get("rejected_total", len(rejected)))
    return [
        dg.AssetCheckResult(
            passed=not malformed and not broken,
            asset_key=EVENT_LOG,
            check_name=REJECTED,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"Lines without an event: {malformed}; files or feeds that could not be read whole: {len(broken)}; "
            "the rest is in. "
            "Mend the files: they are read again when they change."
            if malformed or broken
            else None,
            metadata={
                "rejected": malformed,
                **({"lines": rejected_table(rejected)} if rejected else {}),
                **({"broken": dg.MetadataValue.json(broken)} if broken else {}),
            },
        )
    ]


def judge_projection(report: ProjectionReport, letters: Sequence[DeadLetter]) -> list[dg.AssetCheckResult]:
    """Judge a run of a projection: an event that failed is a warning, for those after it are in."""
    dead = report.dead_letters
    return [
        dg.AssetCheckResult(
            passed=dead == 0,
            asset_key=read_model(report.projection),
            check_name=DEAD,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"Events that could not be worked in, and stay in the log: {dead}. Mend the projection, raise its "
            "version, and the next run builds it anew with them."
            if dead
            else None,
            metadata={"dead letters": dead, **({"events": letter_table(letters)} if dead else {})},
        )
    ]
