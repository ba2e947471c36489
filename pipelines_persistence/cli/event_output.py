"""How the commands of `pipelines events` talk: events as lines and as JSON, reports, progress."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import typer

from pipelines_persistence.events import Batch, StoredEvent
from pipelines_persistence.events.jsonl import on_one_line, to_line

if TYPE_CHECKING:
    from pipelines_persistence.events.feeds import Notify, Progress
    from pipelines_persistence.events.intake import LoadReport

_SHOWN = 160  # characters of an event's data

_encode = msgspec.json.encode


@contextmanager
def until_pipe_closes() -> Iterator[None]:
    """End the command quietly when whoever reads its output, such as `head`, has seen enough."""
    try:
        yield
    except BrokenPipeError:
        # Python writes out what is left once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


@contextmanager
def counting(title: str) -> "Iterator[Notify]":
    """Show on a terminal how far an intake is."""
    from rich.markup import escape

    from pipelines_persistence import console
    from pipelines_persistence.events.feeds import silent

    if not console.err.is_terminal:
        yield silent
        return
    with console.err.status(title) as status:

        def show(progress: "Progress") -> None:
            status.update(
                f"{title} {escape(progress.feed)}: {progress.read:,} read, {progress.rejected:,} malformed"
            )

        yield show


def show_load(report: "LoadReport", *, strict: bool) -> None:
    """Print what a load did."""
    from pipelines_persistence import console

    console.out.print(
        f"{report.read:,} lines of {report.streams:,} streams: [bold]{report.appended:,} appended[/], "
        f"{report.duplicates:,} were there, {report.rejected_total:,} malformed; {report.seconds:.1f} s"
    )
    if report.refused:
        console.out.print(
            f"  [yellow]{report.refused:,} refused: their streams are archived or tombstoned[/]"
        )
    if strict and report.rejected_total:
        console.out.print("  [yellow]--strict: nothing was appended[/]")


def list_rejected(report: "LoadReport") -> None:
    """List malformed lines on standard error."""
    from pipelines_persistence import console

    for line in report.rejected:
        console.err.print(printable(str(line)), markup=False)
    if (more := report.rejected_total - len(report.rejected)) > 0:
        console.err.print(f"… and {more:,} more malformed lines")


def write_lines(events: Iterable[StoredEvent]) -> None:
    """Write events as JSONL that `load` reads, and pass them on at once."""
    for event in events:
        sys.stdout.buffer.write(to_line(event))
    sys.stdout.buffer.flush()


def write_batches(batches: Iterable[Batch], limit: int | None) -> None:
    """Write events as they come, up to a number of them."""
    left = limit
    for batch in batches:
        events = batch.events[:left]
        write_lines(events)
        if left is not None and (left := left - len(events)) == 0:
            return


def write_stream(stream: str, version: int, events: Iterable[StoredEvent]) -> None:
    """Write a stream as one line of JSON, without ever holding all of it."""
    out = sys.stdout.buffer
    out.write(b'{"stream":%b,"version":%d,"events":[' % (_encode(stream), version))
    try:
        for number, event in enumerate(events):
            out.write(b"," * bool(number) + _encode(_members(event)))
    except BaseException:
        out.write(b"\n")  # what is said about the error begins a line of its own
        raise
    out.write(b"]}\n")
    out.flush()


def show_stream(stream: str, events: Iterable[StoredEvent]) -> None:
    """Print a line for each event."""
    from pipelines_persistence import console

    is_empty = True
    for event in events:
        is_empty = False
        data = event.data.decode()
        shown = data if len(data) <= _SHOWN else f"{data[:_SHOWN]}…"
        line = f"{event.version:>6}  {event.occurred_at:%Y-%m-%d %H:%M:%S}Z  {event.type}  {' '.join(shown.split())}"
        sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()
    if is_empty:
        console.err.print(f"no events in {printable(stream)!r}", markup=False)


def printable(text: str) -> str:
    """Return a text without what would steer a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _members(event: StoredEvent) -> dict[str, object]:
    return {
        "version": event.version,
        "event_id": event.id,
        "event_type": event.type,
        "schema_version": event.schema_version,
        "timestamp": event.occurred_at,
        "recorded_at": event.recorded_at,
        "cursor": str(event.cursor),
        "data": on_one_line(event.data),
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "actor": event.actor,
    }
