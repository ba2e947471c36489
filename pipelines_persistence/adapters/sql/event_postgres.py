"""The event log on PostgreSQL: read behind a fence, so that no event is committed in front of a reader.

A sequence gives out positions before the commit: a reader that has seen position 8 never looks back when 7 is
committed. So each row keeps its transaction's id, and a reader is shown only what is older than every transaction that
is still open (`pg_snapshot_xmin`), in the order of (epoch, transaction, position). Writers wait for nothing.
"""

import contextlib
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_epochs import stamp_epochs
from pipelines_persistence.adapters.sql.event_pages import postgres_count, postgres_page, postgres_stream
from pipelines_persistence.adapters.sql.event_postgres_writes import HEADS, open_log, write
from pipelines_persistence.adapters.sql.event_rows import FARTHEST, Filter, Head, Opening, Part, Row
from pipelines_persistence.adapters.sql.event_schema import EPOCH, EXACT, from_micros
from pipelines_persistence.events import Cursor, FenceLag, StoredEvent
from pipelines_persistence.events.appending import Standing

CHANNEL = "pipelines_events"
"""What `LISTEN` names."""

_BETWEEN_ANNOUNCEMENTS = 0.05  # seconds
_MANY = 1_000  # events at once that call for new statistics

_STANDING = """
SELECT id::text, stream, version, epoch, transaction_id, position FROM events WHERE id = ANY(%s::uuid[])
"""
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
        rows = _driver(connection).execute(HEADS, (list(streams),)).fetchall()
        return {row[0]: Head(*row[1:]) for row in rows}

    def standing(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, Standing]:
        """See `Backend`."""
        rows = connection.exec_driver_sql(_STANDING, (list(ids),))
        return {row[0]: Standing(row[1], row[2], Cursor(*row[3:])) for row in rows}

    def open(self, connection: sa.Connection, streams: Sequence[str], count: int) -> Opening:
        """See `Backend`."""
        return open_log(_driver(connection), streams, count)

    def insert(self, connection: sa.Connection, opening: Opening, rows: Iterable[Row]) -> Cursor:
        """See `Backend`."""
        return write(_driver(connection), opening, rows)

    def has_grown(self, events: int) -> None:
        """See `Backend`; statistics of a log with a few events would have the server walk all of it for each stream."""
        if events >= _MANY:
            # As with an announcement. Autovacuum does the same, but only after a minute.
            with (
                contextlib.suppress(sa.exc.SQLAlchemyError),
                self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
            ):
                connection.exec_driver_sql("ANALYZE events (epoch, transaction_id, position)")

    def stream_page(self, connection: sa.Connection, part: Part) -> list[StoredEvent]:
        """See `Backend`."""
        return stored(
            _driver(connection).execute(*postgres_stream(part), binary=True).fetchall(), part.stream
        )

    def page(self, connection: sa.Connection, wanted: Filter) -> tuple[list[StoredEvent], Cursor]:
        """See `Backend`; fence, order and cursor come from one statement and so from one snapshot."""
        rows = _driver(connection).execute(*postgres_page(wanted), binary=True).fetchall()
        *_, epoch, oldest = rows[0]
        events = stored(row for row in rows if row[0] is not None)
        return events, min(wanted.until, Cursor(epoch, oldest - 1, FARTHEST))

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


def stored(rows: Iterable[Any], stream: str = "") -> list[StoredEvent]:
    """Return rows of the queries for PostgreSQL as events, of one stream where it is given."""
    events: list[StoredEvent] = []
    add, moment_of = events.append, datetime.fromtimestamp
    micros, moment = 0, EPOCH
    for (
        name,
        version,
        epoch,
        transaction,
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
        *_,  # the fence
    ) in rows:
        if recorded_at != micros:  # the events of one transaction share it, and a moment is dear
            micros, moment = recorded_at, from_micros(recorded_at)
        add(
            StoredEvent(
                name or stream,
                version,
                Cursor(epoch, transaction, position),
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
