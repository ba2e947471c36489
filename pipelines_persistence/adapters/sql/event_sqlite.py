"""The event log on SQLite: its writers take turns, so the position alone is the order of commits."""

import json
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_rows import COLUMNS, READ, Filter, Head, Row, filtered
from pipelines_persistence.adapters.sql.event_schema import events
from pipelines_persistence.events import Cursor, FenceLag
from pipelines_persistence.events.appending import Standing

_EPOCH = 1

_HEADS = """
SELECT e.stream, e.version, e.type, e.recorded_at FROM json_each(?) AS wanted
JOIN events AS e ON e.stream = wanted.value
  AND e.version = (SELECT max(version) FROM events WHERE stream = wanted.value)
"""
_STANDING = """
SELECT events.id, stream, version, position FROM json_each(?) AS wanted JOIN events ON events.id = wanted.value
"""
_INSERT = f"""
INSERT INTO events (epoch, transaction_id, {COLUMNS})
VALUES ({_EPOCH}, 0, ?, ?, ?, ?, ?, ?, ?, ?, max(?, ?), ?, ?, ?)
"""  # noqa: S608 - constants


class SqliteBackend:
    """See `Backend`."""

    def heads(self, connection: sa.Connection, streams: Sequence[str]) -> dict[str, Head]:
        """See `Backend`."""
        rows = connection.exec_driver_sql(_HEADS, (json.dumps(streams),))
        return {row[0]: Head(*row[1:]) for row in rows}

    def standing(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, Standing]:
        """See `Backend`."""
        rows = connection.exec_driver_sql(_STANDING, (json.dumps(ids),))
        return {row[0]: Standing(row[1], row[2], Cursor(_EPOCH, 0, row[3])) for row in rows}

    def insert(self, connection: sa.Connection, rows: Sequence[Row]) -> Cursor:
        """See `Backend`."""
        self.insert_bulk(connection, rows)
        return self._end(connection)

    def insert_bulk(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """See `Backend`."""
        now = time.time_ns() // 1000
        connection.exec_driver_sql(_INSERT, [(*row[:9], now, *row[9:]) for row in rows])

    def page(self, connection: sa.Connection, wanted: Filter) -> tuple[list[Any], Cursor]:
        """See `Backend`."""
        order = events.c.position.desc() if wanted.backwards else events.c.position
        query = _part(sa.select(*READ), wanted).order_by(order).limit(wanted.limit)
        return list(connection.execute(query)), min(wanted.until, self._end(connection))

    def count(self, connection: sa.Connection, wanted: Filter) -> int:
        """See `Backend`."""
        part = _part(sa.select(events.c.position), wanted).limit(wanted.limit).subquery()
        return connection.execute(sa.select(sa.func.count()).select_from(part)).scalar_one()

    def fence_lag(self, connection: sa.Connection) -> FenceLag:  # noqa: ARG002 - the port's signature
        """See `Backend`; nothing is ever held back."""
        return FenceLag()

    def announce(self) -> None:
        """See `Backend`; those who wait look for themselves."""

    def waiter(self) -> None:
        """See `Backend`."""

    def _end(self, connection: sa.Connection) -> Cursor:
        last = connection.exec_driver_sql("SELECT max(position) FROM events").scalar()
        return Cursor(_EPOCH, 0, last or 0)


def _part(query: sa.Select[Any], wanted: Filter) -> sa.Select[Any]:
    position = events.c.position
    query = filtered(query, wanted).where(position > wanted.after.position)
    if wanted.partition:
        bucket = sa.func.stream_bucket(events.c.stream)  # `open_database` gives it to each connection
        query = query.where(bucket % wanted.partition.of == wanted.partition.index)
    if wanted.until.epoch <= _EPOCH:
        query = query.where(position <= wanted.until.position)
    return query
