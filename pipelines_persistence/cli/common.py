"""What all commands share: options, the platform around a command, errors as messages and exit codes."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines_persistence.errors import ConcurrencyConflict, ConfigurationError, PipelinesError, RowConflict

if TYPE_CHECKING:
    from pipelines_persistence.events import Cursor
    from pipelines_persistence.platform import Platform
    from pipelines_persistence.records import Json as JsonValue
    from pipelines_persistence.settings import Settings

Json = Annotated[
    bool, typer.Option("--json", help="Write one JSON object as the last line of standard output.")
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="Where the events are: postgresql://… or sqlite:///path; by default PIPELINES_DATABASE_URL, "
        "then events.sqlite in the home.",
        show_default=False,
    ),
]


@contextmanager
def open_platform(as_json: bool, database: str | None = None) -> "Iterator[Platform]":
    """Open the platform, and turn what goes wrong into a message and an exit code.

    Args:
        as_json: write an error as JSON too.
        database: the value of `--database`.

    Raises:
        typer.Exit: with 2 where the configuration or an argument is wrong, with 1 for any other failure.
    """
    from pipelines_persistence.platform import Platform

    # An embedder of one's own lies beside one's work, as with `python -m`.
    sys.path.insert(0, str(Path.cwd()))
    try:
        with Platform(_settings(database)) as platform:
            yield platform
    except PipelinesError as error:
        complain(type(error).__name__, str(error), as_json=as_json, facts=_facts(error))
        raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from None
    except Exception as error:
        if isinstance(error, typer.Exit) or os.environ.get("PIPELINES_DEBUG"):
            raise
        message = (
            f"{error}; this is a defect of the platform: set PIPELINES_DEBUG=1 for the place, and report it"
        )
        complain(type(error).__name__, message, as_json=as_json)
        raise typer.Exit(1) from None


def complain(
    kind: str, message: str, *, as_json: bool, facts: "Mapping[str, JsonValue] | None" = None
) -> None:
    """Say what went wrong: to people on standard error, and as JSON on standard output where that was asked for.

    Args:
        kind: the stable name of the error.
        message: what happened, and what to do next.
        as_json: whether JSON was asked for.
        facts: further members of the JSON object, for programs to act on.
    """
    from pipelines_persistence import console

    if as_json:
        console.print_json({"error": {"type": kind, "message": message, **(facts or {})}})
    console.err.print(f"[bold red]{kind}[/]: ", end="")
    console.err.print(message, markup=False)


def moment_or_cursor(text: str) -> "datetime | Cursor":
    """Return what `--as-of` says.

    Raises:
        ConfigurationError: it is neither a moment with its zone nor a cursor.
    """
    from pipelines_persistence.events import Cursor

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return Cursor.parse(text)
        except ValueError:
            pass
    else:
        if moment.utcoffset() is not None:
            return moment
    raise ConfigurationError(
        f"--as-of {text}: expected a moment with its zone, such as 2026-01-31T12:00:00Z, or a cursor"
    )


def _settings(database: str | None) -> "Settings":
    from pipelines_persistence.settings import Settings

    if database is None:
        return Settings()
    if not database:
        raise ConfigurationError(
            "--database is empty: give postgresql://… or sqlite:///path, or leave it out"
        )
    from pydantic import SecretStr

    return Settings(database_url=SecretStr(database))


def _facts(error: PipelinesError) -> "dict[str, JsonValue]":
    if isinstance(error, ConcurrencyConflict):
        return {"stream": error.stream, "expected": error.expected, "actual": error.actual}
    if isinstance(error, RowConflict):
        return {
            "table": error.table,
            "key": list(error.key),
            "expected": error.expected,
            "actual": error.actual,
        }
    return {}
