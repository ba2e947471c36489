"""What a run shows in the UI: numbers that plot themselves, tables, a sample search."""

from collections.abc import Mapping, Sequence

import dagster as dg

from pipelines_persistence.ingestion.report import Problem, Report
from pipelines_persistence.records import Hit

_ROWS = 200
_SNIPPET = 160

Metadata = dict[str, dg.MetadataValue | float | int | str]


def report_metadata(report: Report) -> Metadata:
    """Return a report as metadata: each number on its own, so that the UI plots it over runs."""
    numbers: Metadata = {f"documents/{change}": count for change, count in report.documents.items()}
    numbers |= {
        "documents/total": report.total,
        "chunks": report.chunks,
        "tokens": report.tokens,
        "embedded": report.embedded,
        "reused": report.reused,
        "points": report.points,
        "seconds/total": round(report.seconds, 3),
        "collection": report.collection or "(a new generation)",
    }
    numbers |= {f"seconds/{stage}": round(seconds, 3) for stage, seconds in report.stages.items()}
    embed_seconds = report.stages.get("embed", 0.0)
    if report.embedded and embed_seconds:
        numbers["rate/chunks per second of embedding"] = round(report.embedded / embed_seconds, 1)
    if report.total and report.seconds:
        numbers["rate/documents per second"] = round(report.total / report.seconds, 1)
    if report.notice:
        numbers["notice"] = report.notice
    return numbers | _problem_tables(report)


def _problem_tables(report: Report) -> Metadata:
    tables = {"failed documents": report.failures, "skipped documents": report.skips}
    return {name: problem_table(problems) for name, problems in tables.items() if problems}


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
    lines = [f"**{query}**", "", "| score | document | text |", "|---|---|---|"]
    for hit in hits:
        snippet = " ".join(str(hit.payload["text"]).split())[:_SNIPPET].replace("|", "\\|")
        lines.append(f"| {hit.score:.3f} | {hit.payload['document']} | {snippet} |")
    return {"sample search": dg.MetadataValue.md("\n".join(lines))}
