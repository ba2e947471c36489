"""Values that are compared with a column: checked against it, so that every database understands the same."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, get_args, get_origin

import msgspec

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.repositories.conditions import json_text
from pipelines_persistence.repositories.tables import Column, Kind, plain_type

INTEGERS = range(-(2**63), 2**63)
"""What fits a column: 64 bits."""

EXACT = 2**53
"""Up to there each integer is a float."""

_LISTS = (list, tuple, set, frozenset, Sequence)


def fitting(column: Column, value: object) -> Any:  # noqa: ANN401 - as the column has it
    """Return a value in the form that it is compared in.

    Args:
        column: what it is compared with.
        value: neither None nor NaN.

    Raises:
        ConfigurationError: it is of another type than the column, or no database could keep it.
    """
    match column.kind:
        case Kind.TEXT if isinstance(value, str):
            return _text(column, value)
        case Kind.INTEGER if isinstance(value, int) and not isinstance(value, bool):
            if value not in INTEGERS:
                raise misfit(column, value, "it has more than 64 bits")
            return value
        case Kind.FLOAT if isinstance(value, int | float) and not isinstance(value, bool):
            return _number(column, value)
        case Kind.BOOLEAN if isinstance(value, bool):
            return value
        case Kind.MOMENT if isinstance(value, datetime):
            return _moment(column, value)
        case Kind.JSON:
            return json_text(_converted(column, value, column.type))
    raise misfit(column, value, f"give a value of the type {column.kind}")


def fitting_item(column: Column, value: object) -> Any:  # noqa: ANN401 - any plain item
    """Return what a list may contain, as a plain item of JSON.

    Raises:
        ConfigurationError: the column is no list, or not of such items.
    """
    kind = item_type(column)
    if kind is None:
        raise ConfigurationError(
            f"the column {column.name!r} is no list: compare it with ==, or ask a list what it contains"
        )
    item = msgspec.to_builtins(_converted(column, value, kind))
    if isinstance(item, str):
        return _text(column, item)
    if isinstance(item, float):
        return _number(column, item)
    if isinstance(item, int) and int(item) not in INTEGERS:
        raise misfit(column, value, "it has more than 64 bits")
    if item is not None and not isinstance(item, int):
        raise misfit(column, value, "ask for a text, a number, a truth value or null")
    return item


def item_type(column: Column) -> Any:  # noqa: ANN401 - any type
    """Return the type of a list's items; None where the column is no list."""
    if column.kind is not Kind.JSON:
        return None
    kind = plain_type(column.type)
    if kind is Any:
        return Any
    if (get_origin(kind) or kind) not in _LISTS:
        return None
    items = [item for item in get_args(kind) if item is not Ellipsis]
    return items[0] if len(items) == 1 else Any


def misfit(column: Column, value: object, reason: str) -> ConfigurationError:
    """Return the error for a value that does not fit a column."""
    return ConfigurationError(f"{value!r} does not fit the column {column.name!r} ({column.kind}): {reason}")


def _text(column: Column, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise misfit(column, value, "it is no valid Unicode") from error
    if "\0" in value:
        raise misfit(column, value, "it holds NUL, which PostgreSQL cannot keep")
    return str(value)


def _number(column: Column, value: float) -> float:
    if not math.isfinite(value):
        raise misfit(column, value, "give a finite number; a missing one is null")
    if isinstance(value, int) and abs(value) > EXACT:
        raise misfit(column, value, "it is no exact float; give a float")
    return float(value)


def _moment(column: Column, value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise misfit(column, value, "it has no zone; write +00:00, or use datetime.now(UTC)")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise misfit(column, value, "there is no such moment in UTC") from error


def _converted(column: Column, value: object, kind: Any) -> Any:  # noqa: ANN401 - as above
    try:
        return msgspec.convert(msgspec.to_builtins(value), kind)
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as error:
        raise misfit(column, value, str(error)) from error
