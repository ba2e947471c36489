"""The event log on PostgreSQL: read behind a fence, so that no event is committed in front of a reader.

A sequence gives out positions before the commit: a reader that has seen position 8 never looks back when 7 is
committed. So each row keeps its transaction's id, and a reader is shown only what is older than every transaction that
is still open (`pg_snapshot_xmin`), in the order of (epoch, transaction, position). Writers wait for nothing.
"""

import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_epochs import stamp_epochs
from pipelines_persistence.adapters.sql.event_pages import postgres_count, postgres_page
from pipelines_persistence.adapters.sql.event_rows import COLUMNS, FARTHEST, Filter, Head, Opening, Row
from pipelines_persistence.events import Cursor, FenceLag
from pipelines_persistence.events.appending import Standing

CHANNEL = "pipelines_events"
"""What `LISTEN` names."""

_BETWEEN_ANNOUNCEMENTS = 0.05  # seconds
_MANY = 1_000  # events at once that call for new statistics

_HEADS = """
SELECT wanted.stream, version, type, recorded_at FROM unnest(%s::text[]) AS wanted(stream) CROSS JOIN LATERAL (
  SELECT version, type, recorded_at FROM events WHERE events.stream = wanted.stream COLLATE "C"
  ORDER BY version DESC LIMIT 1) AS head
"""
_STANDING = """
SELECT id::text, stream, version, epoch, transaction_id, position FROM events WHERE id = ANY(%s::uuid[])
"""
# Positions are taken before the rows are written, for neither COPY nor a second question would be as quick to tell them.
_OPEN = """
SELECT (SELECT max(number) FROM event_epochs), pg_current_xact_id()::text::bigint,
  ARRAY(SELECT nextval('events_position_seq') FROM generate_series(1, %s)),
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
"""
_OPEN_ONE = f"""
{_OPEN}, (SELECT json_build_array(json_build_array(stream, version, type, recorded_at)) FROM events
  WHERE stream = %s ORDER BY version DESC LIMIT 1)
"""  # noqa: S608 - constants
_OPEN_MANY = f"{_OPEN}, (SELECT json_agg(json_build_array(stream, version, type, recorded_at)) FROM ({_HEADS}) AS head)"  # noqa: S608 - as above
_WRITTEN = f"position, epoch, transaction_id, {COLUMNS}"
_INSERT = f"INSERT INTO events ({_WRITTEN}) VALUES ({', '.join(['%s'] * 15)})"  # noqa: S608 - as above
_COPY = f"COPY events ({_WRITTEN}) FROM STDIN (FORMAT BINARY)"
_COPY_TYPES = [
    "int8",
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

_FENCE_LAG = """
WITH fence AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest,
  pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS newest, (SELECT max(number) FROM event_epochs) AS epoch)
SELECT (SELECT count(*) FROM events WHERE (events.epoch, transaction_id) >= (fence.epoch, oldest)), newest - oldest,
  (SELECT extract(epoch FROM clock_timestamp()) - min(recorded_at) / 1e6 FROM events
   WHERE (events.epoch, transaction_id) >= (fence.epoch, oldest))
FROM fence
"""
# Its own transaction: a commit that notifies takes a lock of the whole server and would make all writers wait in line.
_ANNOUNCE = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', '')"


def _driver(connection: sa.Connection) -> Any:  # noqa: ANN401 - psycopg, which is loaded on demand
    """Return the driver's own connection: SQLAlchemy's costs as much again as a short statement."""
    return connection.connection.driver_connection


class PostgresBackend:
    """See `Backend`."""

    def __init__(self, engine: sa.Engine) -> None:
        """Take the engine, and mark a new epoch wherever one of its connections meets another server than before."""
        self._engine = engine
        self._announced = -1.0
        stamp_epochs(engine)

    def heads(self, connection: sa.Connection, streams: Sequence[str]) -> dict[str, Head]:
        """See `Backend`."""
        rows = _driver(connection).execute(_HEADS, (list(streams),)).fetchall()
        return {row[0]: Head(*row[1:]) for row in rows}

    def standing(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, Standing]:
        """See `Backend`."""
        rows = connection.exec_driver_sql(_STANDING, (list(ids),))
        return {row[0]: Standing(row[1], row[2], Cursor(*row[3:])) for row in rows}

    def open(self, connection: sa.Connection, streams: Sequence[str], count: int) -> Opening:
        """See `Backend`; a single statement, whose snapshot is taken before the id."""
        statement = _OPEN_ONE if len(streams) == 1 else _OPEN_MANY
        given = streams[0] if len(streams) == 1 else list(streams)
        *stamp, heads = _driver(connection).execute(statement, (count, given)).fetchone()
        epoch, transaction, positions, now = stamp
        return Opening(epoch, transaction, positions, now, {head[0]: Head(*head[1:]) for head in heads or ()})

    def insert(self, connection: sa.Connection, opening: Opening, rows: Iterable[Row]) -> Cursor:
        """See `Backend`; an INSERT is faster for a single row, COPY for more."""
        if len(opening.positions) > 1:
            _copy(_driver(connection), opening, rows)
        else:
            for position, row in zip(opening.positions, rows, strict=False):
                place = (position, opening.epoch, opening.transaction)
                _driver(connection).execute(_INSERT, (*place, *row))
        return Cursor(opening.epoch, opening.transaction, opening.positions[-1])

    def has_grown(self, events: int) -> None:
        """See `Backend`; statistics of a log with a few events would have the server walk all of it for each stream."""
        if events >= _MANY:
            # As with an announcement. Autovacuum does the same, but only after a minute.
            with (
                contextlib.suppress(sa.exc.SQLAlchemyError),
                self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
            ):
                connection.exec_driver_sql("ANALYZE events (epoch, transaction_id, position)")

    def page(self, connection: sa.Connection, wanted: Filter) -> tuple[list[Any], Cursor]:
        """See `Backend`; fence, order and cursor come from one statement and so from one snapshot."""
        rows = _driver(connection).execute(*postgres_page(wanted)).fetchall()
        *_, epoch, oldest = rows[0]
        found = [row for row in rows if row[0] is not None]
        return found, min(wanted.until, Cursor(epoch, oldest - 1, FARTHEST))

    def count(self, connection: sa.Connection, wanted: Filter) -> int:
        """See `Backend`."""
        [found] = _driver(connection).execute(*postgres_count(wanted)).fetchone()
        return int(found)

    def fence_lag(self, connection: sa.Connection) -> FenceLag:
        """See `Backend`."""
        held, transactions, seconds = connection.exec_driver_sql(_FENCE_LAG).one()
        return FenceLag(held, transactions, max(0.0, float(seconds or 0)))

    def announce(self) -> None:
        """See `Backend`; at most one in a while, and whoever was woken looks again soon by himself."""
        now = time.monotonic()
        if now - self._announced < _BETWEEN_ANNOUNCEMENTS:
            return
        self._announced = now
        # The events are committed: a failure here must not look like a failure to append. Polling finds them.
        with (
            contextlib.suppress(sa.exc.SQLAlchemyError),
            self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            connection.exec_driver_sql(_ANNOUNCE)

    def waiter(self) -> "PostgresWaiter":
        """See `Backend`."""
        return PostgresWaiter(self._engine)


def _copy(driver: Any, opening: Opening, rows: Iterable[Row]) -> None:  # noqa: ANN401 - as `_driver`
    from psycopg.types.string import BytesBinaryDumper

    epoch, transaction, positions, *_ = opening
    with driver.cursor() as cursor:
        # Of those registered for a type's number the last counts, which is one in Python otherwise.
        cursor.adapters.register_dumper(bytes, BytesBinaryDumper)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_COPY_TYPES)
            for position, row in zip(positions, rows, strict=False):
                # Spelt out, for this is where an import spends its time.
                stream, category, version, id_, type_, data, schema, occurred, recorded, run, cause, actor = (
                    row
                )
                uuid = bytes.fromhex(
                    id_.replace("-", "")
                )  # its form on the wire, quicker than an object for each
                copy.write_row(
                    (
                        position,
                        epoch,
                        transaction,
                        stream,
                        category,
                        version,
                        uuid,
                        type_,
                        data,
                        schema,
                        occurred,
                        recorded,
                        run,
                        cause,
                        actor,
                    )
                )


class PostgresWaiter:
    """A connection of its own that listens."""

    def __init__(self, engine: sa.Engine) -> None:
        """Connect and listen."""
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(f"LISTEN {CHANNEL}")
        self._driver: Any = connection.connection.driver_connection
        connection.detach()  # it never goes back to the pool, where it would still listen
        self._connection = connection

    def wait(self, seconds: float) -> bool:
        """See `Waiter`."""
        return any(True for _ in self._driver.notifies(timeout=seconds, stop_after=1))

    def close(self) -> None:
        """See `Waiter`."""
        self._connection.close()
