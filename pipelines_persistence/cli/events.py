"""`pipelines events …`: events in and out of the log."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines_persistence.cli.common import Database, Json, moment_or_cursor, open_platform
from pipelines_persistence.cli.event_arguments import confirm, data_of, expected_of, parsed, place_of
from pipelines_persistence.events import Clock
from pipelines_persistence.events.appending import MOST

if TYPE_CHECKING:
    from pipelines_persistence.events import Appended
    from pipelines_persistence.records import Json as JsonValue

app = typer.Typer(no_args_is_help=True, help="Events in and out of the log.")

Stream = Annotated[str, typer.Argument(help="Id of the stream.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Actor = Annotated[str | None, typer.Option(help="Who or what did it.")]


@app.command()
def load(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Files of JSONL, gzipped or not; - is standard input."),
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Append nothing if any line is malformed.")
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Append what the log does not have yet of some files. Loading a file again doubles nothing.

    A line is {"stream_id", "event_type", "timestamp", "data"}, and may have "event_id", "schema_version",
    "correlation_id", "causation_id" and "actor".
    """
    from pipelines_persistence import console
    from pipelines_persistence.cli import event_output
    from pipelines_persistence.events.feeds import Progress
    from pipelines_persistence.events.intake import load as load_files
    from pipelines_persistence.interrupts import deferred_interrupts

    with (
        open_platform(as_json, database) as platform,
        platform.eventing.files(files, twice=strict) as opened,
        deferred_interrupts() as pending,
    ):
        with event_output.counting("loading") as show:

            def notify(progress: Progress) -> None:
                show(progress)
                pending.check()

            report = load_files(platform.eventing.store, opened, strict=strict, notify=notify)
        event_output.list_rejected(report)
        if as_json:
            console.print_json(report.as_json())
        else:
            event_output.show_load(report, strict=strict)
        raise typer.Exit(1 if strict and report.rejected_total else 0)


@app.command()
def append(
    stream: Stream,
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Type of the event.")],
    data: Annotated[
        str, typer.Option(help="JSON; @file reads it from a file, - from standard input.")
    ] = "{}",
    expected: Annotated[
        str,
        typer.Option(
            metavar="N|no_stream|stream_exists|any",
            help="The stream's version as you know it; at any other the append fails.",
        ),
    ] = "any",
    event_id: Annotated[
        str | None, typer.Option("--id", help="Id of the event; appending it again changes nothing.")
    ] = None,
    occurred_at: Annotated[
        str | None, typer.Option(help="When it happened, with its zone; by default now.")
    ] = None,
    correlation_id: Annotated[str | None, typer.Option(help="What it is part of, such as a run.")] = None,
    causation_id: Annotated[str | None, typer.Option(help="Id of what brought it about.")] = None,
    actor: Actor = None,
    schema_version: Annotated[
        int, typer.Option(min=1, max=2**31 - 1, help="Of the data under this type.")
    ] = 1,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Append one event to a stream."""
    from pipelines_persistence.events import NewEvent, new_id
    from pipelines_persistence.events.fields import id_of, moment_of

    with open_platform(as_json, database) as platform:
        event = NewEvent(
            event_type,
            data_of(data),
            new_id() if event_id is None else parsed("--id", id_of, event_id),
            schema_version,
            datetime.now(UTC) if occurred_at is None else parsed("--occurred-at", moment_of, occurred_at),
            correlation_id,
            causation_id,
            actor,
        )
        appended = platform.eventing.store.append(stream, [event], expected_of(expected))
        _show_appended(appended, as_json=as_json, event_id=event.id)


@app.command()
def read(
    stream: Stream,
    from_version: Annotated[int, typer.Option("--from", min=1, max=MOST, help="The first version.")] = 1,
    to_version: Annotated[
        int | None, typer.Option("--to", min=1, max=MOST, help="The last version, inclusive.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Only up to a moment with its zone (2026-01-31T12:00:00Z), or a cursor."),
    ] = None,
    clock: Annotated[
        Clock, typer.Option(help="For a moment: when events occurred, or when they were recorded.")
    ] = Clock.OCCURRED,
    backwards: Annotated[bool, typer.Option("--backwards", help="From the last to the first.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="The most events.")] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write a line that `load` reads for each event.")
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show the events of a stream."""
    from pipelines_persistence.cli import event_output

    if jsonl and as_json:
        raise typer.BadParameter("--jsonl and --json exclude one another")
    with open_platform(as_json, database) as platform, event_output.until_pipe_closes():
        store = platform.eventing.store
        when = moment_or_cursor(as_of) if as_of is not None else None
        found = store.read(stream, from_version, to_version, as_of=when, clock=clock, backwards=backwards)
        events = islice(found, limit)
        if as_json:
            event_output.write_stream(stream, store.version(stream), events)
        elif jsonl:
            event_output.write_lines(events)
        else:
            event_output.show_stream(stream, events)


@app.command()
def tail(
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Begin after this place, or with: start.")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type; may be repeated.")
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(
            "--category", help="Only streams whose id is this up to the first '-'; may be repeated."
        ),
    ] = None,
    no_follow: Annotated[bool, typer.Option("--no-follow", help="End at the end of the log.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
    database: Database = None,
) -> None:
    """Write the events of the log as JSONL as they come, until Ctrl-C.

    Begins at the end of the log; with --no-follow, at its start. Each line has the cursor to go on after.
    """
    from pipelines_persistence.cli import event_output
    from pipelines_persistence.events import START

    of, among = types or (), categories or ()
    with open_platform(False, database) as platform, event_output.until_pipe_closes():
        store = platform.eventing.store
        if no_follow:
            begin = START if after is None else place_of(after)
            event_output.write_batches(store.batches(begin, types=of, categories=among), limit)
            return
        begin = store.head() if after is None else place_of(after)
        with _stop_on_signal() as stop:
            news = store.subscribe(begin, stop=stop, types=of, categories=among)
            event_output.write_batches(news, limit)


@app.command()
def archive(
    stream: Stream, yes: Yes = False, actor: Actor = None, database: Database = None, as_json: Json = False
) -> None:
    """Close a stream for good: it stays readable, and takes no further event."""
    with open_platform(as_json, database) as platform:
        confirm(f"Close the stream {stream!r} for good?", yes=yes)
        _show_appended(platform.eventing.store.archive(stream, actor=actor), as_json=as_json)


@app.command()
def tombstone(
    stream: Stream, yes: Yes = False, actor: Actor = None, database: Database = None, as_json: Json = False
) -> None:
    """Delete a stream's events for good, and close it; one event that says so stays."""
    with open_platform(as_json, database) as platform:
        confirm(f"Delete all events of the stream {stream!r} for good?", yes=yes)
        _show_appended(platform.eventing.tombstone(stream, actor), as_json=as_json)


def _show_appended(appended: "Appended", *, as_json: bool, event_id: str | None = None) -> None:
    from pipelines_persistence import console
    from pipelines_persistence.cli.event_output import printable

    if as_json:
        place: dict[str, JsonValue] = {
            "stream": appended.stream,
            "version": appended.version,
            "cursor": str(appended.cursor),
        }
        console.print_json({**place, "event_id": event_id} if event_id else place)
    else:
        console.out.print(f"{printable(appended.stream)} is at version {appended.version}", markup=False)


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Let Ctrl-C and SIGTERM end what has no other end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    yield stop
