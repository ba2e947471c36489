"""What a database says of itself."""

import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_transactions import UnitOfWork


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A database at one moment.

    Attributes:
        latency: seconds of a round trip, without connecting.
        bytes: of the database; with SQLite, of its files.
        in_use: connections of this process that are in use.
        most: connections that this process may have.
        sessions: connections of all processes to this server; None with SQLite.
    """

    kind: str
    version: str
    latency: float
    bytes: int
    in_use: int
    most: int | None
    sessions: int | None = None


def database_facts(engine: sa.Engine) -> DatabaseFacts:
    """Ask a database.

    Raises:
        DatabaseUnavailable, StorageError, CircuitOpen: as every unit of work does.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    return UnitOfWork(engine).read(_sqlite if is_sqlite else _postgres)


def _sqlite(connection: sa.Connection) -> DatabaseFacts:
    latency = _round_trip(connection)
    version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    path = Path(connection.engine.url.database or "")
    files = [path, path.with_name(f"{path.name}-wal")]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return DatabaseFacts("sqlite", version, latency, size, *_pool(connection))


def _postgres(connection: sa.Connection) -> DatabaseFacts:
    latency = _round_trip(connection)
    version, size, sessions = connection.exec_driver_sql(
        "SELECT current_setting('server_version'), pg_database_size(current_database()), "
        "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
    ).one()
    return DatabaseFacts("postgres", version.split()[0], latency, size, *_pool(connection), sessions)


def _round_trip(connection: sa.Connection) -> float:
    connection.exec_driver_sql("SELECT 1")  # the first one also begins the transaction
    started = time.perf_counter()
    connection.exec_driver_sql("SELECT 1").scalar()
    return time.perf_counter() - started


def _pool(connection: sa.Connection) -> tuple[int, int | None]:
    pool = connection.engine.pool
    if not isinstance(pool, sa.QueuePool):
        return 1, None
    overflow: int = pool._max_overflow  # noqa: SLF001 - there is no other way to know
    return pool.checkedout(), pool.size() + overflow
