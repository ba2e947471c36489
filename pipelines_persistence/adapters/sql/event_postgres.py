"""The event log on PostgreSQL: read behind a fence, so that no event is committed in front of a reader.

A sequence gives out positions before the commit: a reader that has seen position 8 never looks back when 7 is
committed. So each row keeps its transaction's id, and a reader is shown only what is older than every transaction that
is still open (`pg_snapshot_xmin`), in the order of (epoch, transaction, position). Writers wait for nothing.
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_epochs import stamp_epochs
from pipelines_persistence.adapters.sql.event_rows import (
    COLUMNS,
    FARTHEST,
    READ,
    Filter,
    Head,
    Row,
    filtered,
    place,
    up_to,
)
from pipelines_persistence.adapters.sql.event_schema import event_epochs, events
from pipelines_persistence.events import Cursor, FenceLag
from pipelines_persistence.events.appending import Standing

CHANNEL = "pipelines_events"
"""What `LISTEN` names."""

_BETWEEN_ANNOUNCEMENTS = 0.05  # seconds

_HEADS = """
SELECT wanted.stream, head.* FROM unnest(%s::text[]) AS wanted(stream) CROSS JOIN LATERAL (
  SELECT version, type, recorded_at FROM events WHERE events.stream = wanted.stream COLLATE "C"
  ORDER BY version DESC LIMIT 1) AS head
"""
_STANDING = """
SELECT id::text, stream, version, epoch, transaction_id, position FROM events WHERE id = ANY(%s::uuid[])
"""
_STAMP = """
SELECT (SELECT max(number) FROM event_epochs) AS epoch, pg_current_xact_id()::text::bigint AS transaction_id,
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
"""
_INSERT = f"""
WITH stamp AS MATERIALIZED ({_STAMP}), inserted AS (
  INSERT INTO events (epoch, transaction_id, {COLUMNS})
  SELECT s.epoch, s.transaction_id, e.stream, e.category, e.version, e.id, e.type, e.data, e.schema_version,
    e.occurred_at, greatest(s.now, e.recorded_at), e.correlation_id, e.causation_id, e.actor
  FROM stamp AS s, unnest(%s::text[], %s::text[], %s::int[], %s::uuid[], %s::text[], %s::bytea[], %s::int[],
    %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])
    WITH ORDINALITY AS e({COLUMNS}, ordinality)
  ORDER BY e.ordinality
  RETURNING position)
SELECT s.epoch, s.transaction_id, (SELECT max(position) FROM inserted) FROM stamp AS s
"""  # noqa: S608 - constants
_COPY = f"COPY events (epoch, transaction_id, {COLUMNS}) FROM STDIN (FORMAT BINARY)"
_COPY_TYPES = [
    "int4",
    "int8",
    "text",
    "text",
    "int4",
    "uuid",
    "text",
    "bytea",
    "int4",
    "int8",
    "int8",
    "text",
    "text",
    "text",
]
_ID, _RECORDED = 5, 10  # where they stand in a row that is copied

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


class PostgresBackend:
    """See `Backend`."""

    def __init__(self, engine: sa.Engine) -> None:
        """Take the engine, and mark a new epoch wherever one of its connections meets another server than before."""
        self._engine = engine
        self._announced = -1.0
        stamp_epochs(engine)

    def heads(self, connection: sa.Connection, streams: Sequence[str]) -> dict[str, Head]:
        """See `Backend`."""
        return {row[0]: Head(*row[1:]) for row in connection.exec_driver_sql(_HEADS, (list(streams),))}

    def standing(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, Standing]:
        """See `Backend`."""
        rows = connection.exec_driver_sql(_STANDING, (list(ids),))
        return {row[0]: Standing(row[1], row[2], Cursor(*row[3:])) for row in rows}

    def insert(self, connection: sa.Connection, rows: Sequence[Row]) -> Cursor:
        """See `Backend`; one statement for any number of rows."""
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        return Cursor(*connection.exec_driver_sql(_INSERT, columns).one())

    def insert_bulk(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """See `Backend`; COPY, in binary."""
        epoch, transaction, now = connection.exec_driver_sql(_STAMP).one()
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_COPY_TYPES)
            for row in rows:
                whole = [epoch, transaction, *row]
                whole[_ID] = UUID(whole[_ID])
                whole[_RECORDED] = max(now, whole[_RECORDED])
                copy.write_row(whole)

    def page(self, connection: sa.Connection, wanted: Filter) -> tuple[list[Any], Cursor]:
        """See `Backend`; fence, order and cursor come from one statement and so from one snapshot."""
        rows = connection.execute(_page(wanted)).all()
        *_, epoch, oldest = rows[0]
        found = [row for row in rows if row[0] is not None]
        return found, min(wanted.until, Cursor(epoch, oldest - 1, FARTHEST))

    def count(self, connection: sa.Connection, wanted: Filter) -> int:
        """See `Backend`."""
        fence, page = _fenced([events.c.epoch], wanted)
        query = sa.select(sa.func.count(page.c.epoch)).select_from(fence.outerjoin(page, sa.true()))
        return connection.execute(query).scalar_one()

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


def _page(wanted: Filter) -> sa.Select[Any]:
    fence, page = _fenced(READ, wanted)
    outer = [page.c.epoch, page.c.transaction_id, page.c.position]
    return (
        sa.select(*page.c, fence)
        .select_from(fence.outerjoin(page, sa.true()))
        .order_by(*(column.desc() if wanted.backwards else column for column in outer))
    )


def _fenced(columns: Sequence[Any], wanted: Filter) -> tuple[sa.CTE, Any]:
    """Return the fence, and the columns of the rows before it that are wanted."""
    oldest = sa.cast(sa.cast(sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot()), sa.Text), sa.BigInteger)
    newest_epoch = sa.select(sa.func.max(event_epochs.c.number)).scalar_subquery()
    fence = sa.select(newest_epoch.label("fence_epoch"), oldest.label("oldest")).cte("fence")
    order = [events.c.epoch, events.c.transaction_id, events.c.position]
    query = filtered(sa.select(*columns), wanted)
    if wanted.partition:
        bucket = sa.func.get_byte(sa.func.sha256(sa.func.convert_to(events.c.stream, "UTF8")), 0)
        query = query.where(bucket % wanted.partition.of == wanted.partition.index)
    page = (
        query.where(
            place() > (wanted.after.epoch, wanted.after.transaction, wanted.after.position),
            up_to(wanted.until),
            sa.tuple_(events.c.epoch, events.c.transaction_id)
            < sa.tuple_(fence.c.fence_epoch, fence.c.oldest),
        )
        .order_by(*(column.desc() if wanted.backwards else column for column in order))
        .limit(wanted.limit)
        .correlate(fence)
        .lateral("page")
    )
    return fence, page
