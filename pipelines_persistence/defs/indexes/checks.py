"""Asset checks of one index: what stops a run, and what only warns."""

import dagster as dg

from pipelines_persistence.defs.indexes.presentation import problem_table
from pipelines_persistence.ingestion.report import Change, Report

_SOURCES = "sources_have_documents"
_FAILURES = "no_failed_documents"
_WITHHELD = "nothing_withheld"


def plan_checks(index: str) -> list[dg.AssetCheckSpec]:
    """Return the checks of the plan; the blocking one keeps the index from being touched."""
    return [
        dg.AssetCheckSpec(
            _SOURCES,
            asset=dg.AssetKey([index, "plan"]),
            blocking=True,
            description="The sources list documents, and not all of them fail; else the index is not touched.",
        )
    ]


def index_checks(index: str) -> list[dg.AssetCheckSpec]:
    """Return the checks of the index: they warn, and the run succeeds."""
    key = dg.AssetKey([index, "index"])
    return [
        dg.AssetCheckSpec(
            _FAILURES, asset=key, description="Every document that has text is in the index, as it is now."
        ),
        dg.AssetCheckSpec(
            _WITHHELD,
            asset=key,
            description="No deletion and no promotion waits for an approval; see `deletion_guard` in pipelines.yaml.",
        ),
    ]


def check_plan(index: str, report: Report) -> list[dg.AssetCheckResult]:
    """Judge a plan."""
    failed = report.documents[Change.FAILED]
    return [
        dg.AssetCheckResult(
            check_name=_SOURCES,
            asset_key=dg.AssetKey([index, "plan"]),
            passed=report.total > 0 and failed < report.total,
            description=_sources_in_words(report.total, failed),
            metadata={"documents": report.total, "failed": failed},
        )
    ]


def check_index(index: str, report: Report) -> list[dg.AssetCheckResult]:
    """Judge a run: a document that failed is a warning, for the others are in and its last good version stays."""
    key = dg.AssetKey([index, "index"])
    failed = report.documents[Change.FAILED]
    return [
        dg.AssetCheckResult(
            check_name=_FAILURES,
            asset_key=key,
            passed=failed == 0,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{failed} of {report.total} documents failed; what the index held of them, it keeps."
            if failed
            else None,
            metadata={"failed": failed, **({"reasons": problem_table(report.failures)} if failed else {})},
        ),
        dg.AssetCheckResult(
            check_name=_WITHHELD,
            asset_key=key,
            passed=not report.notice,
            severity=dg.AssetCheckSeverity.WARN,
            description=_approval_in_words(report.notice),
            metadata={"withheld": report.documents[Change.WITHHELD]},
        ),
    ]


def _sources_in_words(total: int, failed: int) -> str | None:
    if total == 0:
        return "The sources list no document at all. Look at uri, include and exclude in pipelines.yaml."
    if failed == total:
        return f"All {total} documents fail; the plan's table says why."
    return None


def _approval_in_words(notice: str) -> str | None:
    if not notice:
        return None
    return f"{notice}, or with `approve_deletions` in the launchpad (shift-click on *Materialize*)."
