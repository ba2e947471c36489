"""Tables in SQL: how they are made, asked and changed, and how those of a read model are written and read in bulk.

The latter through the driver, and not through SQLAlchemy's rows: a projection spends its time here.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from pipelines_persistence.adapters.sql.conditions import Dialect, Sql
from pipelines_persistence.events import decode, encode
from pipelines_persistence.repositories.conditions import Condition
from pipelines_persistence.repositories.ordering import Term
from pipelines_persistence.repositories.rows import RowRefused
from pipelines_persistence.repositories.tables import Column, Key, Kind, Table

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


class SqlTable:
    """A table in the database: one of a build, or one's own."""

    def __init__(self, table: Table[Any], name: str, dialect: str) -> None:
        """Take the declaration, the name in the database, and which database it is."""
        self.table = table
        self.name = name
        self._is_postgres = dialect == "postgresql"
        self._types = _TYPES[dialect]
        self._dialect = Dialect(dialect, self._compared)
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
        return [self.struct(row) for row in found]

    def from_end(self, driver: Any, prefix: Key, offset: int, limit: int) -> list[Any]:  # noqa: ANN401 - as above
        """Return rows whose key begins with a prefix, the greatest first."""
        where = " AND ".join(f"{name} = {self._mark}" for name in self._key[: len(prefix)]) or "1 = 1"
        order = ", ".join(f"{name} DESC" for name in self._key)
        query = (
            f'SELECT {self._names} FROM "{self.name}" WHERE {where} ORDER BY {order} '  # noqa: S608 - names were checked
            f"LIMIT {int(limit)} OFFSET {int(offset)}"
        )
        with _refusing(driver) as cursor:
            return [self.struct(row) for row in cursor.execute(query, prefix).fetchall()]

    def select(self, condition: Condition, order: Sequence[Term], limit: int | None = None) -> Sql:
        """Return the query for the rows of a condition, in an order; `struct` makes rows of what it finds."""
        where, values = self._dialect.condition(condition)
        end = "" if limit is None else f" LIMIT {int(limit)}"
        return (
            f'SELECT {self._names} FROM "{self.name}" WHERE {where} ORDER BY {self._dialect.order(order)}{end}',  # noqa: S608 - names were checked, values are bound
            values,
        )

    def select_first(self, condition: Condition, per: Sequence[str], order: Sequence[Term], most: int) -> Sql:
        """Return the query for the first rows of each group that agrees in some columns."""
        where, values = self._dialect.condition(condition)
        by, group = self._dialect.order(order), ", ".join(f'"{name}"' for name in per)
        ranked = (
            f'SELECT {self._names}, row_number() OVER (PARTITION BY {group} ORDER BY {by}) AS "_rank" '  # noqa: S608 - as above
            f'FROM "{self.name}" WHERE {where}'
        )
        return (
            f'SELECT {self._names} FROM ({ranked}) AS ranked WHERE "_rank" <= {int(most)} ORDER BY "_rank"',  # noqa: S608 - as above
            values,
        )

    def total(self, condition: Condition) -> Sql:
        """Return the query for the number of rows of a condition."""
        where, values = self._dialect.condition(condition)
        return f'SELECT count(*) FROM "{self.name}" WHERE {where}', values  # noqa: S608 - as above

    def any(self, condition: Condition) -> Sql:
        """Return the query for whether there is a row of a condition."""
        where, values = self._dialect.condition(condition)
        return f'SELECT EXISTS (SELECT 1 FROM "{self.name}" WHERE {where})', values  # noqa: S608 - as above

    def insert(self, row: Any) -> Sql:  # noqa: ANN401 - a row of any table
        """Return what adds a row, and does nothing where there is one of its key."""
        values, key = ", ".join(self._marks()), ", ".join(self._key)
        into = f'INSERT INTO "{self.name}" ({self._names})'
        return f"{into} VALUES ({values}) ON CONFLICT ({key}) DO NOTHING", tuple(self._values(row))

    def replace(self, row: Any, condition: Condition) -> Sql:  # noqa: ANN401 - as above
        """Return what writes a row in place of those of a condition."""
        where, values = self._dialect.condition(condition)
        names = [f'"{column.name}"' for column in self.table.columns]
        change = ", ".join(f"{name} = {mark}" for name, mark in zip(names, self._marks(), strict=True))
        return f'UPDATE "{self.name}" SET {change} WHERE {where}', (*self._values(row), *values)  # noqa: S608 - as above

    def remove(self, condition: Condition) -> Sql:
        """Return what removes the rows of a condition."""
        where, values = self._dialect.condition(condition)
        return f'DELETE FROM "{self.name}" WHERE {where}', values  # noqa: S608 - as above

    def struct(self, values: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
        """Return what a query found as a row."""
        if self._decoders:
            values = list(values)
            for place, decoder in self._decoders:
                if values[place] is not None:
                    values[place] = decoder(values[place])
        return self.table.row(*values)

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

    def _marks(self) -> list[str]:
        json = "%s::json" if self._is_postgres else "?"
        return [json if column.kind is Kind.JSON else self._mark for column in self.table.columns]

    def _compared(self, column: Column, value: Any) -> Any:  # noqa: ANN401 - of any column
        # A JSON value is compared by its text, which a condition has already.
        encoder = None if column.kind is Kind.JSON else self._encoder(column)
        return encoder(value) if encoder else value

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
