"""Opens a database: connections that behave, migrations, errors in the platform's own terms."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.errors import StorageError

HEAD = "0001"
"""The newest migration; equal to the head of `migrations/versions`, which a test asserts."""


def open_database(url: str) -> sa.Engine:
    """Return an engine for an up-to-date database.

    Raises:
        StorageError: it cannot be opened, written or migrated.
    """
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    with storage_errors(engine):
        if _revision(engine) != HEAD:
            _migrate(engine)
    return engine


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


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's `begin` event below opens transactions, not the driver
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL: an intent that a power failure forgets would leave points in the store that nobody knows.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA foreign_keys=ON")


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
        attributes: dict[str, Any] = config.attributes
        attributes["connection"] = connection
        command.upgrade(config, "head")
