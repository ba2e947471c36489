"""Units of work against the event log: retried as a whole where that is right, their errors in our terms."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa

from pipelines_persistence.errors import DatabaseUnavailable, PipelinesError, StorageError

T = TypeVar("T")
Sleep = Callable[[float], None]

_ATTEMPTS = 8
_UNIQUE = "23505"
_LOST_RACES = frozenset(
    {"40001", "40P01"}
)  # serialization failure, deadlock: the whole unit of work may run again
_SQLITE_BUSY = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_SNAPSHOT"})
# Connection lost, server shutting down or starting, too many connections.
_AWAY = ("08", "57P", "53300")


class Taken(Exception):
    """A unique constraint was violated; the transaction was rolled back."""


class UnitOfWork:
    """Runs functions in transactions of an engine."""

    def __init__(self, engine: sa.Engine, sleep: Sleep = time.sleep) -> None:
        """Take the engine, and what to wait with between two attempts (seconds)."""
        self.engine = engine
        self._sleep = sleep

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Commit what a function does, which runs again as a whole when the database chose it as a victim.

        Raises:
            Taken: a unique constraint was violated: what that means is the caller's to find out, never retried here.
            DatabaseUnavailable, StorageError: see there.
        """
        for attempt in range(_ATTEMPTS):
            try:
                with self.engine.begin() as connection:
                    return work(connection)
            except self._driver_errors() as error:
                if is_unique_violation(error):
                    raise Taken from error
                if _state(error) not in _LOST_RACES:
                    raise self._translated(error) from error
                lost = error
            self.pause(attempt)
        raise DatabaseUnavailable(f"the database broke off {_ATTEMPTS} attempts to write: {lost}") from lost

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what a function reads; on SQLite it waits for no writer."""
        options = {"sqlite_begin": "DEFERRED"}
        with self.errors(), self.engine.connect().execution_options(**options) as connection:
            return work(connection)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn a driver's error into one of ours."""
        try:
            yield
        except self._driver_errors() as error:
            raise self._translated(error) from error

    def pause(self, attempt: int) -> None:
        """Wait a little, longer with each attempt, and never as long as the one who was met there."""
        self._sleep(random.uniform(0.5, 1) * min(0.5, 0.005 * 2**attempt))  # noqa: S311 - jitter is no secret

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        return (sa.exc.DBAPIError, sa.exc.TimeoutError, self.engine.dialect.loaded_dbapi.Error)

    def _translated(self, error: Exception) -> PipelinesError:
        cause = getattr(error, "orig", None) or error
        url = self.engine.url.render_as_string(hide_password=True)
        if _is_transient(cause):
            return DatabaseUnavailable(
                f"the database {url} does not answer: {cause}; try again, it is safe to repeat"
            )
        return StorageError(
            f"the event store {url} failed: {cause}; "
            "check free space, permissions and the file, then repeat the call: what stands already is not written twice"
        )


def is_unique_violation(error: Exception) -> bool:
    """Tell whether a driver's error is the violation of a unique constraint."""
    cause = getattr(error, "orig", None) or error
    return _state(error) == _UNIQUE or isinstance(cause, sqlite3.IntegrityError)


def _state(error: Exception) -> str | None:
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "sqlstate", None)


def _is_transient(cause: BaseException) -> bool:
    if isinstance(cause, sa.exc.TimeoutError):
        return True
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorname", None) in _SQLITE_BUSY
    state = getattr(cause, "sqlstate", None)
    # psycopg gives no state where the server gave none: the connection broke.
    return type(cause).__name__ == "OperationalError" if state is None else state.startswith(_AWAY)
