"""Epochs of the log on PostgreSQL: transaction ids mean something only within one life of one server.

After a dump is restored elsewhere they begin anew, below those in the rows; after a fail-over or a recovery to a point in
time, ids that were given out before come again. The server tells: its system identifier or its timeline is another.
"""

from typing import Any

import sqlalchemy as sa

_LOCK = 7_304_512_001  # an advisory lock's key: any number that nobody else uses

# The timeline comes from the name of the log file that is being written: the control file learns of a promotion late.
# A standby, which cannot write, has none.
_IDENTITY = """
SELECT (SELECT system_identifier FROM pg_control_system()) || '/' ||
  CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END
"""
# Only the newest epoch counts: a server that was left and is met again lives a new life.
_NEWEST = "SELECT identity FROM event_epochs ORDER BY number DESC LIMIT 1"
_BEGIN = """
INSERT INTO event_epochs (number, identity, started_at)
SELECT coalesce(max(number), 0) + 1, %s || '/' || (coalesce(max(number), 0) + 1),
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM event_epochs
"""


def stamp_epochs(engine: sa.Engine) -> None:
    """Begin a new epoch now if the server is another than before, and whenever a new connection finds that it is.

    A fail-over breaks all connections, so that the first to come back notices, before it has written anything.
    """

    def check(driver: Any, _record: object) -> None:  # noqa: ANN401 - psycopg, which is loaded on demand
        ensure_epoch(driver)

    sa.event.listen(engine, "connect", check)
    with engine.connect() as connection:
        ensure_epoch(connection.connection.driver_connection)


def ensure_epoch(driver: Any) -> None:  # noqa: ANN401 - as above
    """Begin a new epoch if the server of a driver's connection is not that of the newest."""
    with driver.cursor() as cursor:
        identity = cursor.execute(_IDENTITY).fetchone()[0]
        if identity and not _is_newest(cursor, identity):
            driver.rollback()
            cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            if not _is_newest(cursor, identity):
                cursor.execute(_BEGIN, (identity,))
    driver.commit()


def _is_newest(cursor: Any, identity: str) -> bool:  # noqa: ANN401 - as above
    row = cursor.execute(_NEWEST).fetchone()
    return row is not None and row[0].rpartition("/")[0] == identity
