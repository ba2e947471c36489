"""The rows of a read model while a batch of events is worked in: read once, changed in memory, written once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from pipelines_persistence.projections.tables import Key, R, Table
from pipelines_persistence.repositories.rows import RowRefused

__all__ = ["Models", "RowRefused", "RowType", "Rows", "Unit"]

RowType = TypeVar("RowType", bound=msgspec.Struct)

_PAGE = 1000

STREAM = "stream"
"""The column that says to which stream a row belongs, in tables of projections that work `by_stream`."""


class Unit(Protocol):
    """An open transaction on the tables of one build."""

    def load(self, table: Table[R], keys: Sequence[Key]) -> list[R]:
        """Return those rows of the keys that exist, in any order."""

    def upsert(self, table: Table[R], rows: Sequence[R]) -> None:
        """Write rows in place of those of their keys.

        Raises:
            RowRefused: the database cannot keep a value.
        """

    def delete(self, table: Table[R], keys: Sequence[Key]) -> None:
        """Remove the rows of the keys, where there are any."""

    def delete_stream(self, table: Table[R], stream: str) -> None:
        """Remove the rows whose column `stream` is this one."""

    def from_end(self, table: Table[R], prefix: Key, offset: int, limit: int) -> list[R]:
        """Return rows whose key begins with `prefix`, the greatest key first."""


class Rows(Generic[R]):
    """One table, as a handler sees it."""

    def __init__(self, table: Table[R], unit: Unit) -> None:
        """Begin with nothing read."""
        self._table = table
        self._unit = unit
        self._known: dict[Key, R | None] = {}
        self._changed: dict[Key, None] = {}

    def get(self, *key: str | int) -> R | None:
        """Return the row of a key. Change it and `put` it back; what is not put back may be lost."""
        if key not in self._known:
            self.fetch([key])
        return self._known[key]

    def fetch(self, keys: Iterable[Key]) -> None:
        """Read the rows of many keys at once, for the `get` of each of them to cost nothing."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._known]
        if missing:
            self._known.update(dict.fromkeys(missing))
            self._known.update(
                (self._table.key_of(row), row) for row in self._unit.load(self._table, missing)
            )

    def put(self, row: R) -> None:
        """Write a row in place of the one of its key."""
        key = self._table.key_of(row)
        self._known[key] = row
        self._changed[key] = None

    def delete(self, *key: str | int) -> None:
        """Remove the row of a key, if there is one."""
        self._known[key] = None
        self._changed[key] = None

    def delete_all(self, *prefix: str | int) -> None:
        """Remove all rows whose key begins with `prefix`."""
        while rows := self.from_end(*prefix, limit=_PAGE):
            for row in rows:
                self.delete(*self._table.key_of(row))

    def drop_stream(self, stream: str) -> None:
        """Remove all rows whose column `stream` is this one, if there is such a column."""
        if all(column.name != STREAM for column in self._table.columns):
            return
        self.flush()
        self._unit.delete_stream(self._table, stream)
        for key, row in self._known.items():
            if row is not None and getattr(row, STREAM) == stream:
                self._known[key] = None

    def from_end(self, *prefix: str | int, offset: int = 0, limit: int = 1) -> list[R]:
        """Return rows whose key begins with `prefix`, the greatest key first; for reading only."""
        self.flush()
        return self._unit.from_end(self._table, prefix, offset, limit)

    def flush(self) -> None:
        """Write what was changed."""
        changed, self._changed = self._changed, {}
        kept = [row for key in changed if (row := self._known[key]) is not None]
        if kept:
            self._unit.upsert(self._table, kept)
        if len(kept) < len(changed):
            self._unit.delete(self._table, [key for key in changed if self._known[key] is None])


class Models:
    """All tables of a read model, by the struct of their rows: `models[Row].get("key")`."""

    def __init__(self, tables: Sequence[Table[Any]], unit: Unit) -> None:
        """Open the tables."""
        self._rows: Mapping[type, Rows[Any]] = {table.row: Rows(table, unit) for table in tables}

    def __getitem__(self, row: type[RowType]) -> Rows[RowType]:
        """Return the table of a row type."""
        return self._rows[row]

    def drop_stream(self, stream: str) -> None:
        """Remove all rows of a stream, in any of them."""
        for rows in self._rows.values():
            rows.drop_stream(stream)

    def flush(self) -> None:
        """Write what was changed in any of them."""
        for rows in self._rows.values():
            rows.flush()
