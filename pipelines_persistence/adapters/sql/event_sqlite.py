"""The event log on SQLite: its writers take turns, so the position alone is the order of commits."""

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_pages import sqlite_count, sqlite_page, sqlite_stream
from pipelines_persistence.adapters.sql.event_rows import COLUMNS, Filter, Head, Opening, Part, Row
from pipelines_persistence.adapters.sql.event_schema import EPOCH, EXACT, from_micros
from pipelines_persistence.events import Cursor, FenceLag, StoredEvent
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
VALUES ({_EPOCH}, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""  # noqa: S608 - constants


def _driver(connection: sa.Connection) -> Any:  # noqa: ANN401 - SQLAlchemy gives its type no name
    """Return the driver's own connection: SQLAlchemy's costs more than these statements, and copies every row."""
    return connection.connection.driver_connection


class SqliteBackend:
    """See `Backend`."""

    def heads(self, connection: sa.Connection, streams: Sequence[str]) -> dict[str, Head]:
        """See `Backend`."""
        rows = _driver(connection).execute(_HEADS, (json.dumps(streams),)).fetchall()
        return {row[0]: Head(*row[1:]) for row in rows}

    def standing(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, Standing]:
        """See `Backend`."""
        rows = connection.exec_driver_sql(_STANDING, (json.dumps(ids),))
        return {row[0]: Standing(row[1], row[2], Cursor(_EPOCH, 0, row[3])) for row in rows}

    def open(self, connection: sa.Connection, streams: Sequence[str], count: int) -> Opening:  # noqa: ARG002 - the port's signature
        """See `Backend`; all writers are on one machine, and its clock serves them all."""
        return Opening(_EPOCH, 0, (), time.time_ns() // 1000, self.heads(connection, streams))

    def insert(self, connection: sa.Connection, opening: Opening, rows: Iterable[Row]) -> Cursor:  # noqa: ARG002 - as above
        """See `Backend`."""
        _driver(connection).executemany(_INSERT, rows)
        return self._end(connection)

    def has_grown(self, events: int) -> None:
        """See `Backend`; without statistics its planner takes the index, which is right."""

    def stream_page(self, connection: sa.Connection, part: Part) -> list[StoredEvent]:
        """See `Backend`."""
        return stored(_driver(connection).execute(*sqlite_stream(part)), part.stream)

    def page(self, connection: sa.Connection, wanted: Filter) -> tuple[list[StoredEvent], Cursor]:
        """See `Backend`."""
        # The end first: the two statements see different states, and what is committed between them must not be
        # taken for searched.
        end = self._end(connection)
        events = stored(_driver(connection).execute(*sqlite_page(wanted)))
        last = events[-1].cursor if events and not wanted.backwards else end
        return events, min(wanted.until, max(end, last))

    def count(self, connection: sa.Connection, wanted: Filter) -> int:
        """See `Backend`."""
        [found] = _driver(connection).execute(*sqlite_count(wanted)).fetchone()
        return int(found)

    def fence_lag(self, connection: sa.Connection) -> FenceLag:  # noqa: ARG002 - the port's signature
        """See `Backend`; nothing is ever held back."""
        return FenceLag()

    def announce(self) -> None:
        """See `Backend`; those who wait look for themselves."""

    def waiter(self) -> None:
        """See `Backend`."""

    def _end(self, connection: sa.Connection) -> Cursor:
        [last] = _driver(connection).execute("SELECT max(position) FROM events").fetchone()
        return Cursor(_EPOCH, 0, last or 0)


def stored(rows: Iterable[Any], stream: str = "") -> list[StoredEvent]:
    """Return rows of the queries for SQLite as events, of one stream where it is given."""
    events: list[StoredEvent] = []
    add, moment_of = events.append, datetime.fromtimestamp
    micros, moment = 0, EPOCH
    for (
        name,
        version,
        position,
        recorded_at,
        event_id,
        type_,
        data,
        schema_version,
        occurred_at,
        correlation_id,
        causation_id,
        actor,
    ) in rows:
        if recorded_at != micros:  # the events of one transaction share it, and a moment is dear
            micros, moment = recorded_at, from_micros(recorded_at)
        add(
            StoredEvent(
                name or stream,
                version,
                Cursor(_EPOCH, 0, position),
                moment,
                event_id,
                type_,
                data,
                schema_version,
                moment_of(occurred_at / 1e6, UTC)
                if -EXACT < occurred_at < EXACT
                else from_micros(occurred_at),
                correlation_id,
                causation_id,
                actor,
            )
        )
    return events
