"""`pipelines project`, `show` and `snapshot`: read models and snapshots from a terminal."""

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines_persistence.cli.common import Database, Json, complain, moment_or_cursor, open_platform
from pipelines_persistence.errors import ConfigurationError, ProjectionFailed
from pipelines_persistence.events import Clock
from pipelines_persistence.projections import OnError
from pipelines_persistence.projections.ports import live_build
from pipelines_persistence.repositories import Page, Reader, Relation, asked, everything, named

if TYPE_CHECKING:
    from pipelines_persistence.eventing import Eventing
    from pipelines_persistence.projections import Build, Projection
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
        list[str] | None,
        typer.Option(
            help="What a row must have: column=value, or one of != < <= > >= ^= (starts with). A list has its items; "
            "null asks for no value. May be repeated."
        ),
    ] = None,
    spec: Annotated[
        list[str] | None,
        typer.Option(help="A specification of the projection: name, or name:argument,… May be repeated."),
    ] = None,
    order: Annotated[
        list[str] | None, typer.Option(help="A column, or -column for the greatest first. May be repeated.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, max=_MANY, help="The most rows; by default 20 in a table, and in JSON 1,000,000."
        ),
    ] = None,
    after: Annotated[str | None, typer.Option(help="What the page before gave as next.")] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="Related rows, by the name of the relation. May be repeated.")
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
    if dead and (where or spec or order or after or include):
        raise typer.BadParameter(
            "--dead shows events and no rows: leave --where, --spec, --order, --after and --include away"
        )
    with open_platform(as_json, database) as platform:
        eventing = platform.eventing
        projection = eventing.projection(name).projection
        reader, build = _reader(eventing, name, as_of, clock)
        most = limit or (_MANY if as_json and not include else _SHOWN)
        if dead:
            letters = Page[Any](eventing.models.dead_letters(build, most))
            _print_page(name, letters, (), as_json=as_json)
            return
        meant = everything()
        for condition in where or ():
            meant &= asked(projection.tables[0], condition)
        for text in spec or ():
            meant &= named(projection.specifications, text)
        relations = [_relation(projection, relation) for relation in include or ()]
        page = reader.find(meant, order=order or (), limit=most, after=after, include=relations)
        _print_page(name, page, relations, as_json=as_json)


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


def _reader(eventing: "Eventing", name: str, as_of: str | None, clock: Clock) -> "tuple[Reader[Any], Build]":
    configured = eventing.projection(name)
    if as_of is None:
        return eventing.read_model(name), live_build(eventing.models, name)
    when = moment_or_cursor(as_of)
    build = eventing.runner.as_of(configured.projection, when, clock=clock, on_error=configured.on_error)
    return eventing.models.repository(build, configured.projection.tables[0]), build


def _relation(projection: "Projection", name: str) -> Relation[Any]:
    relations = {relation.name: relation for relation in projection.relations}
    if name not in relations:
        raise ConfigurationError(
            f"{projection.name} has no relation {name!r}: there are {', '.join(relations) or 'none'}"
        )
    return relations[name]


def _print_page(name: str, page: "Page[Any]", relations: Sequence[Relation[Any]], *, as_json: bool) -> None:
    from pipelines_persistence import console
    from pipelines_persistence.events.codec import to_plain

    related = {one.name: [page.related(one, row) for row in page.items] for one in relations}
    if as_json:
        shown = {"related": to_plain(related)} if related else {}
        rows = [to_plain(row) for row in page.items]
        console.print_json({"projection": name, "rows": rows, "next": page.next, **shown})
        return
    console.show_rows(name, page.items)
    for title, groups in related.items():
        console.show_rows(title, [row for group in groups for row in group])
    if page.next:
        console.out.print(f"… more: --after {page.next} shows them", soft_wrap=True)
