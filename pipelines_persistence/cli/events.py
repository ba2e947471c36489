"""`pipelines events …`: events in and out of the log."""

import typer

app = typer.Typer(no_args_is_help=True, help="Events in and out of the log.")
