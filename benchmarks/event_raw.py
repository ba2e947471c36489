"""The bare driver: the same tables and indexes as ours, no check, no answer; each in the fastest way that was found.

Rows are given ready to send. SQLite: `executemany`. PostgreSQL: a prepared INSERT for one row, binary COPY for more, which
was measured at twice the speed of `executemany` and of an INSERT from `unnest`.
"""

import sqlite3
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.event_sides import Batch, StepDone, exhaust
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_rows import COLUMNS, new_row
from pipelines_persistence.pipelines.events import ReasoningStep

if TYPE_CHECKING:
    import psycopg

Rows = list[list[tuple[Any, ...]]]
_INSERTED = f"events (epoch, transaction_id, {COLUMNS})"
_ID = 5
_TYPES = [
    "int4",
    "int8",
    "text",
    "text",
    "int4",
    "bytea",
    "text",
    "bytea",
    "int4",
    "int8",
    "int8",
    "text",
    "text",
    "text",
]
_decoders = {kind.__name__: msgspec.json.Decoder(kind).decode for kind in (StepDone, ReasoningStep)}


class RawSqlite:
    """`sqlite3`, with the settings of our connections."""

    def __init__(self, url: str) -> None:
        """Make the tables, and connect."""
        open_database(url).dispose()
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        self._connection.execute("PRAGMA synchronous=FULL")
        self._insert = f"INSERT INTO {_INSERTED} VALUES ({', '.join('?' * len(_TYPES))})"

    def prepare(self, batches: Sequence[Batch]) -> Rows:
        """See `Side`."""
        return _rows(batches)

    def append(self, prepared: Rows) -> None:
        """See `Side`."""
        for rows in prepared:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(self._insert, rows)
            self._connection.execute("COMMIT")

    def load(self, prepared: Rows) -> None:
        """See `Side`; in one transaction."""
        self.append([[row for rows in prepared for row in rows]])

    def read(self, stream: str) -> None:
        """See `Side`."""
        query = "SELECT type, data FROM events WHERE stream = ? ORDER BY version"
        exhaust(_decoders[kind](data) for kind, data in self._connection.execute(query, (stream,)))

    def close(self) -> None:
        """See `Side`."""
        self._connection.close()


class RawPostgres:
    """`psycopg`."""

    def __init__(self, url: str) -> None:
        """Make the tables, and connect."""
        import psycopg

        open_database(url).dispose()
        self._connection = psycopg.connect(url.replace("+psycopg", ""))
        # The dumper in C: that of `bytea` is one in Python.
        self._connection.adapters.register_dumper(bytes, psycopg.types.string.BytesBinaryDumper)
        self._insert = f"INSERT INTO {_INSERTED} VALUES ({', '.join(['%s'] * len(_TYPES))})"
        self._copy = f"COPY {_INSERTED} FROM STDIN (FORMAT BINARY)"

    def prepare(self, batches: Sequence[Batch]) -> Rows:
        """See `Side`; ids as the sixteen bytes that COPY sends."""
        return [
            [(*row[:_ID], _sent(row[_ID], len(rows)), *row[_ID + 1 :]) for row in rows]
            for rows in _rows(batches)
        ]

    def append(self, prepared: Rows) -> None:
        """See `Side`."""
        for rows in prepared:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                if len(rows) == 1:
                    cursor.execute(self._insert, rows[0])
                else:
                    self._send(cursor, rows)

    def load(self, prepared: Rows) -> None:
        """See `Side`; one COPY."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            self._send(cursor, [row for rows in prepared for row in rows])

    def read(self, stream: str) -> None:
        """See `Side`."""
        query = "SELECT type, data FROM events WHERE stream = %s ORDER BY version"
        with self._connection.transaction(), self._connection.cursor(binary=True) as cursor:
            exhaust(_decoders[kind](data) for kind, data in cursor.execute(query, (stream,)))

    def close(self) -> None:
        """See `Side`."""
        self._connection.close()

    def _send(self, cursor: "psycopg.Cursor[Any]", rows: list[tuple[Any, ...]]) -> None:
        with cursor.copy(self._copy) as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row(row)


def _rows(batches: Sequence[Batch]) -> Rows:
    now = time.time_ns() // 1000
    return [
        [(1, 0, *new_row(stream, version + place, event, now)) for place, event in enumerate(events, 1)]
        for stream, version, events in batches
    ]


def _sent(id_: str, rows: int) -> str | bytes:
    return id_ if rows == 1 else bytes.fromhex(id_.replace("-", ""))
