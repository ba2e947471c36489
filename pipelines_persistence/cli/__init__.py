"""`pipelines …`: the same work as in the Dagster UI, from a terminal.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. With `--json` the last line on standard output
is one JSON object, an error included.
"""

import sys
from collections.abc import Callable, Sequence

import typer

from pipelines_persistence.cli import events, indexes, persons, projections

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold secrets
    help="Keep Qdrant collections in step with documents, and read models with events.",
)
_commands: Sequence[Callable[..., None]] = (
    indexes.ingest,
    indexes.plan,
    indexes.search,
    indexes.status,
    indexes.doctor,
    projections.project,
    projections.show,
    projections.snapshot,
)
for _command in _commands:
    app.command()(_command)
events.app.command()(persons.forget)
events.app.command()(persons.rewrap)
app.add_typer(events.app, name="events")


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except SystemExit as exit_:
        usage = exit_.__context__  # Typer has shown it for people, and left
        # The base of BadParameter is UsageError, which Typer does not export.
        if "--json" in sys.argv and isinstance(usage, typer.BadParameter.__bases__):
            from pipelines_persistence import console

            console.print_json({"error": {"type": "UsageError", "message": str(usage)}})
        raise
