"""What the arguments of `pipelines events` mean."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import typer

from pipelines_persistence.errors import ConfigurationError, EventRefused
from pipelines_persistence.events import START, Cursor, Expected

T = TypeVar("T")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless `yes`.

    Raises:
        ConfigurationError: there is nobody to ask.
        typer.Exit: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("this cannot be undone, and there is nobody to ask: add --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


def parsed(option: str, parse: Callable[[str], T], text: str) -> T:
    """Return the value of an option.

    Raises:
        ConfigurationError: the parser refuses it.
    """
    try:
        return parse(text)
    except EventRefused as error:
        raise ConfigurationError(f"{option}: {error}") from error


def data_of(text: str) -> bytes:
    """Return what `--data` says: the text itself, the content of `@file`, or standard input for `-`.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        if text == "-":
            return sys.stdin.buffer.read()
        return Path(text[1:]).read_bytes() if text.startswith("@") else os.fsencode(text)
    except OSError as error:
        raise ConfigurationError(f"--data {text}: {error.strerror}") from error


def expected_of(text: str) -> int | Expected:
    """Return what `--expected` says.

    Raises:
        ConfigurationError: it is neither a version nor one of the words.
    """
    if text.isdecimal():
        return int(text)
    try:
        return Expected(text)
    except ValueError:
        words = ", ".join(Expected)
        raise ConfigurationError(f"--expected {text}: expected a version, or one of {words}") from None


def place_of(after: str) -> Cursor:
    """Return what `--after` says.

    Raises:
        ConfigurationError: it is neither a cursor nor `start`.
    """
    try:
        return START if after == "start" else Cursor.parse(after)
    except ValueError:
        raise ConfigurationError(
            f"--after {after}: expected a cursor, as each line of `tail` has one, or: start"
        ) from None
