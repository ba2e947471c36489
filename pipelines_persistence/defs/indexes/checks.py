"""Asset checks of one index: what stops a run, and what only warns."""

import dagster as dg

from pipelines_persistence.defs.indexes.presentation import problem_table
from pipelines_persistence.ingestion.report import Change, Report

_SOURCES = "sources_have_documents"
_DELETIONS = "no_deletions_withheld"
_FAILURES = "no_failed_documents"


def plan_checks(index: str) -> list[dg.AssetCheckSpec]:
    """Return the checks of the plan; the blocking one keeps the index from being touched."""
    plan = dg.AssetKey([index, "plan"])
    return [
        dg.AssetCheckSpec(
            _SOURCES,
            asset=plan,
            blocking=True,
            description="The sources list documents, and not all of them fail.",
        ),
        dg.AssetCheckSpec(
            _DELETIONS, asset=plan, description="No deletion looks like an accident; see `deletion_guard`."
        ),
    ]


def index_checks(index: str) -> list[dg.AssetCheckSpec]:
    """Return the checks of the index."""
    key = dg.AssetKey([index, "index"])
    return [
        dg.AssetCheckSpec(_FAILURES, asset=key, description="Every document that has text is in the index.")
    ]


def check_plan(index: str, report: Report) -> list[dg.AssetCheckResult]:
    """Judge a plan."""
    plan = dg.AssetKey([index, "plan"])
    failed, withheld = report.documents[Change.FAILED], report.documents[Change.WITHHELD]
    return [
        dg.AssetCheckResult(
            check_name=_SOURCES,
            asset_key=plan,
            passed=report.total > 0 and failed < report.total,
            metadata={"documents": report.total, "failed": failed},
        ),
        dg.AssetCheckResult(
            check_name=_DELETIONS,
            asset_key=plan,
            passed=withheld == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"withheld": withheld, "notice": report.notice or "none"},
        ),
    ]


def check_index(index: str, report: Report) -> list[dg.AssetCheckResult]:
    """Judge a run: a document that failed is a warning, for the others are in and its last good version stays."""
    failed = report.documents[Change.FAILED]
    table = {"failed documents": problem_table(report.failures)} if failed else {}
    return [
        dg.AssetCheckResult(
            check_name=_FAILURES,
            asset_key=dg.AssetKey([index, "index"]),
            passed=failed == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"failed": failed, **table},
        )
    ]
