"""Opens a database: connections that behave, migrations, errors in the platform's own terms."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

# Whoever opens a database knows all of its tables.
from pipelines_persistence.adapters.sql import event_schema as _event_schema  # noqa: F401 - its tables belong to the metadata
from pipelines_persistence.adapters.sql import observations as _observations  # noqa: F401 - as above
from pipelines_persistence.adapters.sql import projection_schema as _projection_schema  # noqa: F401 - as above
from pipelines_persistence.adapters.sql.event_transactions import UnitOfWork, guarded
from pipelines_persistence.adapters.sql.postgres_connections import postgres_engine
from pipelines_persistence.configuration.resilience import DatabaseConfig
from pipelines_persistence.errors import ConfigurationError, StorageError
from pipelines_persistence.events import bucket_of
from pipelines_persistence.resilience import Guard

HEAD = "0004"
"""The newest migration; equal to the head of `migrations/versions`, which a test asserts."""

_MIGRATION_LOCK = 7_304_512_000  # an advisory lock's key: any number that nobody else uses


def open_database(url: str, config: DatabaseConfig | None = None, *, guard: Guard | None = None) -> sa.Engine:
    """Return an engine for an up-to-date database.

    Args:
        url: `sqlite:///path`, or `postgresql://user:password@host/name`, which is spoken to by psycopg 3.
        config: pool and timeouts of a server.
        guard: of a server: units of work go through it. A file needs none.

    Raises:
        ConfigurationError: the URL names a database that is not supported, whose driver is not installed, or which
            refuses the log-in.
        StorageError: it cannot be opened, written or migrated.
        DatabaseUnavailable: its server does not answer.
        CircuitOpen: its server failed too often a moment ago.
    """
    engine = _engine(url, config or DatabaseConfig())
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        with storage_errors(engine):  # a file that cannot be opened stays so
            _update(engine)
        return engine
    if guard:
        guarded(engine, guard)
    try:
        UnitOfWork(engine).alone(_update)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _update(engine: sa.Engine) -> None:
    if _revision(engine) != HEAD:
        _migrate(engine)


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that only reads: on SQLite it waits for no writer."""
    with storage_errors(engine), engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that is committed at the end of the block, or rolled back by an error."""
    with storage_errors(engine), engine.begin() as connection:
        yield connection


@contextmanager
def storage_errors(engine: sa.Engine) -> Iterator[None]:
    """Turn a driver's error into one that says what to do. The URL's password is never shown."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise StorageError(
            f"the ledger {engine.url.render_as_string(hide_password=True)} failed: {error.orig}; "
            "nothing of this step was recorded. Check free space, permissions and locks, then run again; if the file is "
            "damaged, restore it or move it away, and the next run builds its indexes anew"
        ) from error


def _engine(url: str, config: DatabaseConfig) -> sa.Engine:
    try:
        parsed = _discreet(sa.make_url(url))
        if parsed.drivername in {"postgres", "postgresql"}:
            # SQLAlchemy 2.0 and 2.1 mean different drivers by the short form.
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
            raise ConfigurationError(
                f"{parsed.drivername!r} databases are not supported: use sqlite or postgresql"
            )
        return (
            postgres_engine(parsed, config) if "postgresql" in parsed.drivername else sa.create_engine(parsed)
        )
    except ImportError as error:
        raise ConfigurationError(
            f"the driver of {parsed.drivername!r} is not installed: pip install 'pipelines-persistence[postgres]'"
        ) from error
    except (sa.exc.ArgumentError, ValueError):
        # Without the cause, which quotes pieces of the URL: a password with a '/' in it is cut in two.
        raise ConfigurationError(
            "the database URL cannot be read: use sqlite:///path or postgresql://user:password@host/name, "
            "with special characters percent-encoded"
        ) from None


def _discreet(url: sa.URL) -> sa.URL:
    """Move a password to where it is never shown."""
    if "@" in (url.host or ""):
        raise ConfigurationError("the password in the database URL holds an '@': write %40 for it")
    password = url.query.get("password")
    if not isinstance(password, str):
        return url
    return url.difference_update_query(["password"]).set(password=password)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's `begin` event below opens transactions, not the driver
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL: an intent that a power failure forgets would leave points in the store that nobody knows.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.create_function("stream_bucket", 1, bucket_of, deterministic=True)


def _begin_sqlite(connection: sa.Connection) -> None:
    # A deferred BEGIN that turns into a write fails at once when another writer was faster.
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _revision(engine: sa.Engine) -> str | None:
    with engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: sa.Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    # One transaction, taken as a writer: a second process waits here and then finds nothing to do.
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # However long it takes: to wait for another process that migrates, and to change large tables.
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        attributes: dict[str, Any] = config.attributes
        attributes["connection"] = connection
        command.upgrade(config, "head")
