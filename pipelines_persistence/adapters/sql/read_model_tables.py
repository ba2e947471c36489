"""The tables of a read model in SQL: how they are made, and how their rows are written and read in bulk.

Through the driver, and not through SQLAlchemy's rows: a projection spends its time here.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec
import sqlalchemy as sa

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.events import decode, encode
from pipelines_persistence.projections.ports import Conditions
from pipelines_persistence.projections.rows import RowRefused
from pipelines_persistence.projections.tables import Column, Key, Kind, Table

_TYPES = {
    "sqlite": {
        Kind.TEXT: "TEXT",
        Kind.INTEGER: "INTEGER",
        Kind.FLOAT: "REAL",
        Kind.BOOLEAN: "INTEGER",
        Kind.MOMENT: "TEXT",
        Kind.JSON: "TEXT",
    },
    "postgresql": {
        Kind.TEXT: 'TEXT COLLATE "C"',
        Kind.INTEGER: "BIGINT",
        Kind.FLOAT: "DOUBLE PRECISION",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.MOMENT: "TIMESTAMPTZ",
        Kind.JSON: "JSON",  # not JSONB, which knows no NUL
    },
}
_FROM_JSON = {
    Kind.TEXT: "text",
    Kind.INTEGER: "bigint",
    Kind.FLOAT: "float8",
    Kind.BOOLEAN: "boolean",
    Kind.MOMENT: "timestamptz",
    Kind.JSON: "json",
}
_json = msgspec.json.Encoder(decimal_format="string")
_CHUNK = 1000


class SqlTable:
    """A table of one build."""

    def __init__(self, table: Table[Any], name: str, dialect: str) -> None:
        """Take the declaration, the name in the database, and which database it is."""
        self.table = table
        self.name = name
        self._is_postgres = dialect == "postgresql"
        self._types = _TYPES[dialect]
        self._names = ", ".join(f'"{column.name}"' for column in table.columns)
        self._key = [f'"{name}"' for name in table.key]
        # Only for the columns that need one: most do not, and this is done for every row.
        self._encoders = [
            (place, encoder)
            for place, column in enumerate(table.columns)
            if (encoder := self._encoder(column)) is not None
        ]
        self._decoders = [
            (place, decoder)
            for place, column in enumerate(table.columns)
            if (decoder := self._decoder(column)) is not None
        ]

    def statements(self) -> Iterator[str]:
        """Return what makes the table."""
        columns = [
            f'"{column.name}" {self._types[column.kind]}{"" if column.nullable else " NOT NULL"}'
            for column in self.table.columns
        ]
        end = "" if self._is_postgres else " WITHOUT ROWID"
        yield f'CREATE TABLE "{self.name}" ({", ".join(columns)}, PRIMARY KEY ({", ".join(self._key)})){end}'
        for number, index in enumerate(self.table.indexes):
            names = ", ".join(f'"{name}"' for name in index)
            yield f'CREATE INDEX "{self.name}__{number}" ON "{self.name}" ({names})'

    def upsert(self, driver: Any, rows: Sequence[Any]) -> None:  # noqa: ANN401 - the driver's connection
        """Write rows in place of those of their keys."""
        with _refusing(driver) as cursor:
            if self._is_postgres:
                # As JSON, which is written in C: the driver's arrays are put together value by value in Python.
                cursor.execute(self._upsert, (_json.encode(rows).decode(),))
            else:
                cursor.executemany(self._upsert, [self._values(row) for row in rows])

    def delete(self, driver: Any, keys: Sequence[Key]) -> None:  # noqa: ANN401 - as above
        """Remove the rows of keys."""
        where = " AND ".join(f"{name} = {self._mark}" for name in self._key)
        with _refusing(driver) as cursor:
            cursor.executemany(f'DELETE FROM "{self.name}" WHERE {where}', keys)  # noqa: S608 - names were checked

    def load(self, driver: Any, keys: Sequence[Key]) -> list[Any]:  # noqa: ANN401 - as above
        """Return the rows of those keys that exist."""
        with _refusing(driver) as cursor:
            if self._is_postgres:
                found = cursor.execute(
                    self._load, [list(column) for column in zip(*keys, strict=True)]
                ).fetchall()
            else:
                # A statement for each is faster here than any list of keys.
                found = [row for key in keys if (row := cursor.execute(self._load, key).fetchone())]
        return [self._struct(row) for row in found]

    def from_end(self, driver: Any, prefix: Key, offset: int, limit: int) -> list[Any]:  # noqa: ANN401 - as above
        """Return rows whose key begins with a prefix, the greatest first."""
        where = " AND ".join(f"{name} = {self._mark}" for name in self._key[: len(prefix)]) or "1 = 1"
        order = ", ".join(f"{name} DESC" for name in self._key)
        query = (
            f'SELECT {self._names} FROM "{self.name}" WHERE {where} ORDER BY {order} '  # noqa: S608 - names were checked
            f"LIMIT {int(limit)} OFFSET {int(offset)}"
        )
        with _refusing(driver) as cursor:
            return [self._struct(row) for row in cursor.execute(query, prefix).fetchall()]

    def page(self, connection: sa.Connection, where: Conditions, limit: int | None) -> Iterator[Any]:
        """Walk rows in the table's order, a page at a time."""
        conditions = [self._condition(name, value) for name, value in where.items()]
        clause = " AND ".join(text for text, _ in conditions) or "1 = 1"
        parameters = tuple(value for _, value in conditions)
        order = [
            f'"{name.lstrip("-")}"{" DESC" if name.startswith("-") else ""}' for name in self.table.order
        ]
        query = (
            f'SELECT {self._names} FROM "{self.name}" WHERE {clause} ORDER BY {", ".join([*order, *self._key])}'  # noqa: S608 - names were checked, values are bound
            f"{'' if limit is None else f' LIMIT {int(limit)}'}"
        )
        result = connection.execution_options(stream_results=True, max_row_buffer=_CHUNK).exec_driver_sql(
            query, parameters
        )
        for row in result:
            yield self._struct(tuple(row))

    @cached_property
    def _upsert(self) -> str:
        others = [f'"{column.name}"' for column in self.table.columns if column.name not in self.table.key]
        change = ", ".join(f"{name} = excluded.{name}" for name in others)
        action = f"DO UPDATE SET {change}" if change else "DO NOTHING"
        if self._is_postgres:
            columns = ", ".join(f'"{column.name}" {_FROM_JSON[column.kind]}' for column in self.table.columns)
            values = f"SELECT * FROM json_to_recordset(%s::json) AS given({columns})"  # noqa: S608 - names were checked
        else:
            values = f"VALUES ({', '.join('?' * len(self.table.columns))})"
        return f'INSERT INTO "{self.name}" ({self._names}) {values} ON CONFLICT ({", ".join(self._key)}) {action}'

    @cached_property
    def _load(self) -> str:
        names = ", ".join(f'"{self.name}".{name}' for name in self._names.split(", "))
        if not self._is_postgres:
            where = " AND ".join(f"{name} = ?" for name in self._key)
            return f'SELECT {self._names} FROM "{self.name}" WHERE {where}'  # noqa: S608 - names were checked
        kinds = {column.name: _FROM_JSON[column.kind] for column in self.table.columns}
        arrays = ", ".join(f"%s::{kinds[name]}[]" for name in self.table.key)
        keys = ", ".join(self._key)
        return f'SELECT {names} FROM unnest({arrays}) AS wanted({keys}) JOIN "{self.name}" USING ({keys})'  # noqa: S608 - names were checked

    @property
    def _mark(self) -> str:
        return "%s" if self._is_postgres else "?"

    def _values(self, row: Any) -> list[Any]:  # noqa: ANN401 - a row of any table
        values = list(msgspec.structs.astuple(row))
        for place, encoder in self._encoders:
            if values[place] is not None:
                values[place] = encoder(values[place])
        return values

    def _struct(self, values: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
        if self._decoders:
            values = list(values)
            for place, decoder in self._decoders:
                if values[place] is not None:
                    values[place] = decoder(values[place])
        return self.table.row(*values)

    def _encoder(self, column: Column) -> Callable[[Any], Any] | None:
        if column.kind is Kind.JSON:
            return lambda value: encode(value).decode()
        if column.kind is Kind.MOMENT and not self._is_postgres:
            return _to_text
        return str if column.kind is Kind.TEXT and column.type is not str else None

    def _decoder(self, column: Column) -> Callable[[Any], Any] | None:
        if column.kind is Kind.JSON:
            return (
                (lambda value: msgspec.convert(value, column.type))
                if self._is_postgres
                else lambda value: decode(value.encode(), column.type)
            )
        if column.kind is Kind.MOMENT:
            return _to_utc if self._is_postgres else datetime.fromisoformat
        if column.kind is Kind.BOOLEAN:
            return bool
        return column.type if column.kind is Kind.TEXT and column.type is not str else None

    def _condition(self, name: str, value: object) -> tuple[str, Any]:
        columns = {column.name: column for column in self.table.columns}
        if name not in columns:
            raise ConfigurationError(f"there is no column {name!r}: there are {', '.join(columns)}")
        column = columns[name]
        try:
            return self._compare(column, value)
        except (msgspec.ValidationError, ValueError) as error:
            raise ConfigurationError(f"{value!r} does not fit the column {name!r}: {error}") from error

    def _compare(self, column: Column, value: object) -> tuple[str, Any]:
        if column.kind is not Kind.JSON:
            kind = {Kind.INTEGER: int, Kind.FLOAT: float, Kind.BOOLEAN: bool, Kind.MOMENT: datetime}.get(
                column.kind, str
            )
            typed: object = msgspec.convert(value, kind, strict=False)
            if isinstance(typed, int) and not -(2**63) <= typed < 2**63:
                raise ValueError("it has more than 64 bits")
            encoder = self._encoder(column)
            return f'"{column.name}" = {self._mark}', encoder(typed) if encoder else typed
        # A text from the command line may mean the text or the number.
        texts = [encode(item).decode() for item in _readings(value)]
        if self._is_postgres:
            return f'"{column.name}"::jsonb @> ANY(%s::jsonb[])', [f"[{text}]" for text in texts]
        wanted = "SELECT value FROM json_each(?)"
        return (
            f'EXISTS (SELECT 1 FROM json_each("{column.name}") WHERE value IN ({wanted}))',  # noqa: S608 - the name was checked
            f"[{', '.join(texts)}]",
        )


def _readings(value: object) -> list[object]:
    if not isinstance(value, str):
        return [value]
    try:
        return [value, msgspec.json.decode(value, type=bool | int | float)]
    except msgspec.DecodeError:
        return [value]


class _refusing:  # noqa: N801 - used as a function is, and faster than a generator
    """A driver's cursor; what the database cannot keep is the row's fault."""

    def __init__(self, driver: Any) -> None:  # noqa: ANN401 - the driver's connection
        self._cursor = driver.cursor()

    def __enter__(self) -> Any:  # noqa: ANN401 - the driver's cursor
        return self._cursor

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._cursor.close()
        if kind is not None and kind.__name__ in _UNFIT:
            raise RowRefused(f"the database cannot keep a value: {error}") from error


# By name: neither driver is imported before its database is used.
_UNFIT = {
    "DataError",
    "OverflowError",
    "NumericValueOutOfRange",
    "UntranslatableCharacter",
    "CharacterNotInRepertoire",
    "NotNullViolation",
    "InvalidTextRepresentation",
    "UnicodeEncodeError",
}


def _to_text(moment: datetime) -> str:
    # Of one width, so that texts sort as moments do.
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="microseconds")


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
