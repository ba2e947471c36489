"""What a run shows in the UI: numbers that plot themselves, tables, a sample search."""

from collections.abc import Mapping, Sequence

import dagster as dg

from pipelines_persistence.ingestion.report import Change, Problem, Report
from pipelines_persistence.records import Hit

_ROWS = 200
_CELL = 120
_SHOWN_AT_ONCE = 1000  # characters of Markdown; the UI hides a longer one behind a click

Metadata = dict[str, dg.MetadataValue | float | int | str]


def plan_metadata(report: Report) -> Metadata:
    """Return a plan as metadata: what a run would find and do."""
    return {
        **_notice(report),
        **_findings(report),
        "chunks/to write": report.chunks,
        "chunks/to embed": report.embedded,
        "chunks/to reuse": report.reused,
        "tokens/to embed": report.tokens,
        "points/expected": report.points,
        **_seconds(report),
    }


def ingest_metadata(report: Report, sample: Mapping[str, dg.MetadataValue]) -> Metadata:
    """Return a run as metadata: each number on its own, so that the UI plots it over runs.

    The UI keeps the order: what is most worth reading stands first.
    """
    return {
        **_notice(report),
        **sample,
        **_findings(report),
        "chunks/written": report.chunks,
        "chunks/embedded": report.embedded,
        "chunks/reused": report.reused,
        "tokens/embedded": report.tokens,
        "dagster/row_count": report.points,  # the UI shows it as the size of the asset
        **_rates(report),
        **_seconds(report),
        "collection": report.collection,
    }


def _notice(report: Report) -> Metadata:
    return {"notice": report.notice} if report.notice else {}


def _findings(report: Report) -> Metadata:
    tables = {"failed documents": report.failures, "skipped documents": report.skips}
    return {
        **_documents(report),
        **{name: problem_table(problems) for name, problems in tables.items() if problems},
    }


def _documents(report: Report) -> Metadata:
    return {
        "documents/total": report.total,
        **{f"documents/{change}": count for change, count in report.documents.items()},
    }


def _seconds(report: Report) -> Metadata:
    stages = {f"seconds/{stage}": round(seconds, 3) for stage, seconds in report.stages.items()}
    return {"seconds/total": round(report.seconds, 3), **stages}


def _rates(report: Report) -> Metadata:
    """Return how much each stage did in a second; a stage that had nothing to do has no rate."""
    parsed = sum(report.documents[change] for change in (Change.ADDED, Change.CHANGED, Change.FAILED))
    done = {
        "documents per second": (report.total, report.seconds),
        "parse, documents per second": (parsed, report.stages.get("parse", 0.0)),
        "chunk, chunks per second": (report.chunks, report.stages.get("chunk", 0.0)),
        "embed, chunks per second": (report.embedded, report.stages.get("embed", 0.0)),
        "embed, tokens per second": (report.tokens, report.stages.get("embed", 0.0)),
        "write, chunks per second": (report.chunks, report.stages.get("write", 0.0)),
    }
    return {
        f"rate/{name}": round(count / seconds, 1)
        for name, (count, seconds) in done.items()
        if count and seconds
    }


def problem_table(problems: Sequence[Problem]) -> dg.MetadataValue:
    """Return the first documents that are not in the index, with the reason of each."""
    rows = [
        dg.TableRecord({"document": problem.document, "reason": problem.reason, "source": problem.source})
        for problem in problems[:_ROWS]
    ]
    columns = [dg.TableColumn(name, "string") for name in ("document", "reason", "source")]
    return dg.MetadataValue.table(rows, schema=dg.TableSchema(columns=columns))


def sample_search(query: str, hits: Sequence[Hit]) -> Mapping[str, dg.MetadataValue]:
    """Return the answers to a question as Markdown, to be judged at a glance."""
    lines = [f"**{_cell(query)}**", "", "| score | document | text |", "|---|---|---|"]
    for hit in hits:
        row = f"| {hit.score:.3f} | {_cell(hit.payload['document'])} | {_cell(hit.payload['text'])} |"
        if sum(map(len, lines)) + len(lines) + len(row) >= _SHOWN_AT_ONCE:
            break
        lines.append(row)
    return {"sample search": dg.MetadataValue.md("\n".join(lines))}


def _cell(value: object) -> str:
    """Return text that stays within its cell and shows as it is: documents are data, not markup."""
    plain = " ".join(str(value).split())
    shown = plain[:_CELL] + ("…" if len(plain) > _CELL else "")
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#!~$" else character for character in shown)
