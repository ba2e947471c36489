"""What may be written into a table: rows that every database keeps and gives back as they were."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from pipelines_persistence.errors import ConfigurationError, PermanentError
from pipelines_persistence.repositories.conditions import Condition, Every, Operator, Test, json_text
from pipelines_persistence.repositories.tables import LONGEST, Column, Key, Kind, R, Table, columns_of
from pipelines_persistence.repositories.values import EXACT, INTEGERS, fitting


class RowRefused(PermanentError, ValueError):
    """The database cannot keep a value of a row: too large a number, NUL in a text, too long a key."""


def admitted(table: Table[R], row: R, version: int | None = None) -> R:
    """Return a copy of a row as it is kept: moments in UTC, no negative zero, and with a version where one is given.

    Raises:
        RowRefused: a value is of another type than its field, or no database could keep it.
    """
    kept = {column.name: _admitted(table, column, getattr(row, column.name)) for column in table.columns}
    for names in table.indexed:
        if sum(len((kept[name] or "").encode()) for name in names) > LONGEST:
            raise RowRefused(
                f"{table.row.__name__}.{', '.join(names)}: a key or an index takes {LONGEST} bytes of text at most; "
                "change the row, nothing of it was written"
            )
    if table.version and version is not None:
        kept[table.version] = version
    return msgspec.structs.replace(row, **kept)


def keyed(table: Table[Any], key: Key) -> Condition:
    """Return what holds for the row of a key.

    Raises:
        ConfigurationError: it has not as many parts as the key, or one of another type.
    """
    if len(key) != len(table.key):
        raise ConfigurationError(
            f"the key of {table.row.__name__} has the fields {', '.join(table.key)}: give each"
        )
    columns = columns_of(table.row)
    parts = zip((columns[name] for name in table.key), key, strict=True)
    return Every(tuple(Test(column, Operator.EQUAL, fitting(column, value)) for column, value in parts))


def _admitted(table: Table[Any], column: Column, value: Any) -> Any:  # noqa: ANN401 - of any column
    if value is None and column.nullable:
        return None
    # Without the value, which may be nobody else's business.
    if reason := "it is null" if value is None else _FLAWS[column.kind](column, value):
        raise RowRefused(
            f"{table.row.__name__}.{column.name}: {reason}; change the row, nothing of it was written"
        )
    if isinstance(value, datetime) and column.kind is Kind.MOMENT:
        return value.astimezone(UTC)
    return (
        float(value) + 0.0 if column.kind is Kind.FLOAT else value
    )  # -0.0 becomes 0.0: SQLite keeps no sign of it


def _text(_column: Column, value: object) -> str:
    if not isinstance(value, str):
        return "it is no text"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "it is no valid Unicode"
    return "it holds NUL, which PostgreSQL cannot keep" if "\0" in value else ""


def _integer(_column: Column, value: object) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return "it is no integer"
    return "it has more than 64 bits" if value not in INTEGERS else ""


def _float(_column: Column, value: object) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return "it is no finite number"
    return "it is no exact float" if isinstance(value, int) and abs(value) > EXACT else ""


def _boolean(_column: Column, value: object) -> str:
    return "" if isinstance(value, bool) else "it is neither true nor false"


def _moment(_column: Column, value: object) -> str:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        return "it is no moment with a zone"
    try:
        value.astimezone(UTC)
    except OverflowError:
        return "there is no such moment in UTC"
    return ""


def _json(column: Column, value: object) -> str:
    try:
        same = msgspec.json.decode(json_text(value), type=column.type) == value
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        return f"it cannot be kept as JSON ({error})"
    return "" if same else "it does not come back from JSON as it was"


_FLAWS: dict[Kind, Callable[[Column, Any], str]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.FLOAT: _float,
    Kind.BOOLEAN: _boolean,
    Kind.MOMENT: _moment,
    Kind.JSON: _json,
}
