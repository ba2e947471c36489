"""How the command line talks: progress on a terminal, plain lines elsewhere, tables, JSON."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from pipelines_persistence.ingestion.engine import Notify
from pipelines_persistence.ingestion.report import Change, Report
from pipelines_persistence.records import Hit, Json

_PLAIN_EVERY = 5.0  # seconds between two lines of progress where there is no terminal
_SHOWN = 10
_WIDEST = 80

_PIPE_WIDTH = None if sys.stdout.isatty() else 160

out = Console(soft_wrap=True, highlight=False, emoji=False, width=_PIPE_WIDTH)
err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def print_json(value: Mapping[str, Json]) -> None:
    """Write one line of JSON, the last on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@contextmanager
def progress(title: str) -> Iterator[Notify]:
    """Show how far a run is, on standard error."""
    if err.is_terminal:
        with _bar() as bar:
            task = bar.add_task(title, total=None, detail="")

            def draw(report: Report) -> None:
                bar.update(
                    task, completed=report.examined, total=report.total or None, detail=_detail(report)
                )

            yield draw
    else:
        yield _plain_lines(title)


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("documents · {task.fields[detail]}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )


def _plain_lines(title: str) -> Notify:
    last = time.monotonic()

    def write(report: Report) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_EVERY:
            last = time.monotonic()
            err.print(f"{title}: {report.examined}/{report.total} documents, {_detail(report)}")

    return write


def _detail(report: Report) -> str:
    seconds = report.stages.get("embed", 0.0)
    rate = f", {report.embedded / seconds:.0f}/s" if report.embedded and seconds else ""
    return f"{report.embedded} chunks embedded{rate}"


def show_report(report: Report, *, planned: bool) -> None:
    """Print a run's or a plan's numbers, and why documents are missing."""
    counts = ", ".join(f"{count} {change}" for change, count in report.documents.items() if count)
    verb = "would embed" if planned else "embedded"
    out.print(f"[bold]{report.index}[/]: {report.total} documents: {counts or 'nothing to do'}")
    out.print(
        f"  {report.chunks} chunks: {verb} {report.embedded} ({report.tokens} tokens), reused {report.reused}; "
        f"{report.points} points in {report.collection or 'a new collection'}; {report.seconds:.1f} s"
    )
    for problem in report.failures[:_SHOWN]:
        out.print(f"  [red]failed[/] {escape(problem.document)}: {escape(problem.reason)}")
    if len(report.failures) > _SHOWN:
        out.print(f"  … and {len(report.failures) - _SHOWN} more failed; --json lists all")
    if report.documents[Change.SKIPPED]:
        reasons = sorted({problem.reason.split(":")[0] for problem in report.skips})
        out.print(f"  skipped: {', '.join(reasons)}; --json lists them")
    if report.notice:
        out.print(f"  [yellow]{escape(report.notice)}[/]")


def show_hits(hits: Sequence[Hit]) -> None:
    """Print what a search found."""
    if not hits:
        out.print("nothing found")
    for rank, hit in enumerate(hits, start=1):
        payload = hit.payload
        headings = payload.get("headings") or []
        path = " > ".join(str(heading) for heading in headings) if isinstance(headings, list) else ""
        out.print(f"[bold]{rank}. {escape(str(payload['title']))}[/]  [dim]{hit.score:.3f}[/]")
        out.print(f"   [cyan]{escape(str(payload['document']))}[/]  [dim]{escape(path)}[/]")
        out.print(f"   {escape(' '.join(str(payload['text']).split())[:240])}")


def show_status(indexes: Sequence[Mapping[str, Json]]) -> None:
    """Print a line for each index."""
    columns = ["index", "documents", "points", "collection", "fingerprint"]
    rows = [[row[column] if row[column] is not None else "-" for column in columns] for row in indexes]
    runs = [row["last_run"] for row in indexes]
    told = [
        f"{run['state']} {str(run['finished_at'] or '')[:19]}" if isinstance(run, Mapping) else "never"
        for run in runs
    ]
    show_table("indexes", [*columns, "last run"], [[*row, run] for row, run in zip(rows, told, strict=True)])


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    out.print(table)


def show_rows(title: str, rows: Sequence[msgspec.Struct]) -> None:
    """Print structs as a table, their fields as columns."""
    if not rows:
        out.print(f"{title}: no rows")
        return
    columns = [field.name for field in msgspec.structs.fields(type(rows[0]))]
    show_table(title, columns, [[_cell(getattr(row, column)) for column in columns] for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = (
        json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)
    )
    # A name in the log must not command the terminal.
    safe = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[: _WIDEST + 1])
    return safe if len(safe) <= _WIDEST else f"{safe[: _WIDEST - 1]}…"
