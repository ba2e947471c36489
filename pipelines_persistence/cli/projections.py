"""`pipelines project`, `show` and `snapshot`: read models and snapshots from a terminal."""

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pipelines_persistence.cli.common import Database, Json, complain, moment_or_cursor, open_platform
from pipelines_persistence.errors import ConfigurationError, ProjectionFailed
from pipelines_persistence.events import Clock
from pipelines_persistence.projections import OnError

if TYPE_CHECKING:
    from pipelines_persistence.eventing import Eventing
    from pipelines_persistence.projections.catalog import Configured
    from pipelines_persistence.records import Json as JsonValue

_SHOWN = 20
_MANY = 1_000_000

Names = Annotated[
    list[str] | None, typer.Argument(help="Names of projections; all that are configured by default.")
]
AsOf = Annotated[str | None, typer.Option(help="A moment with its zone (2026-01-31T12:00:00Z), or a cursor.")]
ClockOption = Annotated[
    Clock, typer.Option(help="For a moment: when events occurred, or when they were recorded.")
]


def project(
    names: Names = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build anew beside the old, then swap.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Show the previous build again.")] = False,
    as_of: AsOf = None,
    clock: ClockOption = Clock.OCCURRED,
    on_error: Annotated[
        OnError | None,
        typer.Option(
            help="What to do with an event that cannot be worked in; by default as configured (skip_failing), and "
            "stop while what readers see is built anew."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Work new events into read models. Run it again after an interruption: it goes on from there."""
    from pipelines_persistence import console

    if sum([rebuild, rollback, as_of is not None, follow]) > 1:
        raise typer.BadParameter("--rebuild, --rollback, --as-of and --follow exclude one another")
    with open_platform(as_json, database) as platform:
        eventing = platform.eventing
        chosen = {name: eventing.projection(name) for name in names or eventing.projections}
        if rollback and not names:
            raise ConfigurationError("--rollback needs the name of a projection")
        if follow:
            _follow(eventing, chosen)
            return
        if as_of is not None:
            results = list(_aside(eventing, chosen, as_of, clock, on_error))
        else:
            results = list(_run(eventing, chosen, rebuild=rebuild, rollback=rollback, on_error=on_error))
        if as_json:
            console.print_json({"projections": results})
        else:
            _show_reports(results)
        if any("error" in result for result in results):
            raise typer.Exit(1)


def show(
    name: Annotated[str, typer.Argument(help="Name of the projection.")],
    where: Annotated[
        list[str] | None, typer.Option(help="column=value that a row must have; may be repeated.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most rows; by default 20 in a table and all in JSON.")
    ] = None,
    as_of: AsOf = None,
    clock: ClockOption = Clock.OCCURRED,
    dead: Annotated[
        bool, typer.Option("--dead", help="Show the events that could not be worked in.")
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show the rows of a read model."""
    from pipelines_persistence import console
    from pipelines_persistence.events.codec import to_plain

    with open_platform(as_json, database) as platform:
        eventing = platform.eventing
        projection = eventing.projection(name).projection
        if as_of is not None:
            when, on_error = moment_or_cursor(as_of), eventing.projection(name).on_error
            build = eventing.runner.as_of(projection, when, clock=clock, on_error=on_error)
        elif found := eventing.models.live(name):
            build = found
        else:
            raise ConfigurationError(f"{name} was never built: pipelines project {name}")
        table = projection.tables[0]
        most = limit or (None if as_json else _SHOWN)
        rows: list[msgspec.Struct] = list(
            eventing.models.dead_letters(build, most or _MANY)
            if dead
            else eventing.models.rows(build, table, dict(map(_condition, where or ())), most)
        )
        if as_json:
            console.print_json({"projection": name, "rows": [to_plain(row) for row in rows]})
        else:
            console.show_rows(name, rows)
            if limit is None and len(rows) == _SHOWN:
                console.out.print("… perhaps more: --limit shows them")


def snapshot(
    every: Annotated[
        int | None, typer.Option(min=1, help="Events since the last snapshot; by default as configured.")
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Keep the state of pipelines, so that loading them need not begin at their first event."""
    from pipelines_persistence import console
    from pipelines_persistence.events.codec import to_plain

    with open_platform(as_json, database) as platform:
        taken = platform.eventing.take_snapshots(every=every)
        if as_json:
            console.print_json(to_plain(taken))
        else:
            failed = f", {taken.failed} failed: see the log" if taken.failed else ""
            console.out.print(
                f"{taken.streams} pipelines: {taken.taken} snapshots taken, {taken.skipped} not due{failed}"
            )
        if taken.failed:
            raise typer.Exit(1)


def _run(
    eventing: "Eventing",
    chosen: "dict[str, Configured]",
    *,
    rebuild: bool,
    rollback: bool,
    on_error: OnError | None,
) -> "Iterator[dict[str, JsonValue]]":
    """Run each; one that fails does not keep the others from it."""
    from pipelines_persistence.interrupts import deferred_interrupts

    for name, configured in chosen.items():
        if rollback:
            eventing.models.rollback(name)
            yield eventing.runner.describe(configured.projection).as_json()
            continue
        try:
            with deferred_interrupts() as pending:
                report = eventing.runner.run(
                    configured.projection,
                    rebuild=rebuild,
                    on_error=on_error or configured.on_error,
                    on_error_rebuilding=on_error or OnError.STOP,
                    notify=lambda _tally: pending.check(),
                )
            yield report.as_json()
        except ProjectionFailed as error:
            complain(type(error).__name__, str(error), as_json=False)
            yield {"projection": name, "error": {"type": type(error).__name__, "message": str(error)}}


def _aside(
    eventing: "Eventing",
    chosen: "dict[str, Configured]",
    as_of: str,
    clock: Clock,
    on_error: OnError | None,
) -> "Iterator[dict[str, JsonValue]]":
    when = moment_or_cursor(as_of)
    for name, configured in chosen.items():
        build = eventing.runner.as_of(
            configured.projection, when, clock=clock, on_error=on_error or configured.on_error
        )
        yield {
            "projection": name,
            "build": build.id,
            "as_of": build.as_of,
            "events": eventing.models.checkpoint(build).events,
            "dead_letters": eventing.models.count_dead(build),
            "rows": eventing.models.count(build, configured.projection.tables[0]),
        }


def _follow(eventing: "Eventing", chosen: "dict[str, Configured]") -> None:
    """Follow with all of them, each in a thread, until Ctrl-C or until one fails."""
    from pipelines_persistence import console

    stop, failures = threading.Event(), list[Exception]()

    def run(configured: "Configured") -> None:
        try:
            eventing.runner.follow(configured.projection, stop, on_error=configured.on_error)
        except Exception as error:  # noqa: BLE001 - handed to the main thread
            failures.append(error)
            stop.set()

    threads = [
        threading.Thread(target=run, args=[configured], name=name) for name, configured in chosen.items()
    ]
    for thread in threads:
        thread.start()
    console.err.print(f"following the log with {', '.join(chosen)}; Ctrl-C ends it")
    try:
        while not stop.wait(0.5):
            pass
    except KeyboardInterrupt:
        stop.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _show_reports(results: "Sequence[dict[str, JsonValue]]") -> None:
    from pipelines_persistence import console

    columns = ["projection", "events", "rows", "dead_letters", "lag", "seconds"]
    if results and "as_of" in results[0]:
        columns = ["projection", "as_of", "events", "rows", "dead_letters"]
    rows = [[result.get(column, "-") for column in columns] for result in results if "error" not in result]
    console.show_table("read models", columns, rows)
    for result in results:
        if result.get("notice"):
            console.out.print(f"[yellow]{result['notice']}[/]")


def _condition(item: str) -> tuple[str, str]:
    key, found, value = item.partition("=")
    if not found or not key:
        raise ConfigurationError(f"--where {item}: expected column=value")
    return key, value
