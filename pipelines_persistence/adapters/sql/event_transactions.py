"""Units of work against the event log: retried as a whole where that is right, their errors in our terms."""

import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa

from pipelines_persistence.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    PipelinesError,
    StorageError,
    TransientError,
)
from pipelines_persistence.resilience import Guard

T = TypeVar("T")
Sleep = Callable[[float], None]

_ATTEMPTS = 8
_UNIQUE = "23505"
_LOST_RACES = frozenset(
    {"40001", "40P01"}
)  # serialization failure, deadlock: the whole unit of work may run again
_SQLITE_BUSY = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_SNAPSHOT"})
# Connection lost, server shutting down or starting, too many connections, idle within a transaction for too long.
_AWAY = ("08", "57P", "53300", "25P03")
_BROKEN = frozenset({"OperationalError", "ConnectionTimeout"})


# A server refuses a log-in without a state, and in the language of its own messages; others are taken for transient.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|not permitted to log in|"
    r"permission denied for database|(role|database|user) \"[^\"]*\" does not exist"
)
_TOO_LONG = "57014"


class Taken(Exception):
    """A unique constraint was violated; the transaction was rolled back."""


class CommitInDoubt(DatabaseUnavailable):
    """The connection broke while a transaction was committed: it may stand or not, and is not repeated blindly."""


class _LostRace(Exception):
    """The database chose this transaction as a victim: it answers, and the same may succeed at once."""


def guarded(engine: sa.Engine, guard: Guard) -> None:
    """Let all units of work of an engine go through a guard."""
    engine.update_execution_options(guard=guard)


class UnitOfWork:
    """Runs functions in transactions of an engine, through the engine's guard where it has one."""

    def __init__(self, engine: sa.Engine, sleep: Sleep = time.sleep) -> None:
        """Take the engine, and what to wait with between two attempts (seconds)."""
        self.engine = engine
        self._sleep = sleep
        self._guard: Guard | None = engine.get_execution_options().get("guard")

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Commit what a function does, which runs again as a whole when the database chose it as a victim.

        It also runs again when the connection broke before the commit, where the engine has a guard.

        Raises:
            Taken: a unique constraint was violated: what that means is the caller's to find out, never retried here.
            CommitInDoubt, DatabaseUnavailable, StorageError: see there.
            CircuitOpen: the database failed too often a moment ago.
            ConfigurationError: it refuses the user or the password.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._call(lambda: self._commit(work))
            except _LostRace as race:
                lost = race.__cause__
            self.pause(attempt)
        raise DatabaseUnavailable(f"the database broke off {_ATTEMPTS} attempts to write: {lost}") from lost

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what a function reads; on SQLite it waits for no writer. See `write` for what it raises."""
        return self._call(lambda: self._read(work))

    def alone(self, work: Callable[[sa.Engine], T]) -> T:
        """Return what a function does that makes its own transactions, and may run again. See `write` for what it raises."""

        def explained() -> T:
            with self.errors():
                return work(self.engine)

        return self._call(explained)

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

    def _call(self, work: Callable[[], T]) -> T:
        return self._guard.call(work, repeatable=_is_undone) if self._guard else work()

    def _commit(self, work: Callable[[sa.Connection], T]) -> T:
        committing = False
        try:
            with self.engine.begin() as connection:
                result = work(connection)
                committing = True
        except self._driver_errors() as error:
            if is_unique_violation(error):
                raise Taken from error
            if _state(error) in _LOST_RACES:
                raise _LostRace from error
            raise self._translated(error, committing=committing) from error
        return result

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        options = {"sqlite_begin": "DEFERRED"}
        with self.errors(), self.engine.connect().execution_options(**options) as connection:
            return work(connection)

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        return (sa.exc.DBAPIError, sa.exc.TimeoutError, self.engine.dialect.loaded_dbapi.Error)

    def _first_cause(self, error: Exception) -> BaseException:
        """Return what the driver said first: of a connection that broke, rolling back says only that it is closed."""
        cause: BaseException = getattr(error, "orig", None) or error
        while isinstance(cause.__context__, self.engine.dialect.loaded_dbapi.Error):
            cause = cause.__context__
        return cause

    def _translated(self, error: Exception, *, committing: bool = False) -> PipelinesError:
        cause = self._first_cause(error)
        url = self.engine.url.render_as_string(hide_password=True)
        words = " ".join(str(cause).split())  # a driver's message may be several lines
        if _is_refusal(cause):
            return ConfigurationError(
                f"the database {url} refuses the log-in: {words}; check user, password and name in the URL"
            )
        if _is_transient(cause):
            kind = CommitInDoubt if committing else DatabaseUnavailable
            return kind(
                f"the database {url} does not answer: {words}; see whether it runs, and PIPELINES_DATABASE_URL, then try "
                "again: it is safe to repeat"
            )
        return StorageError(
            f"the event store {url} failed: {words}; "
            "check free space, permissions and the file, then repeat the call: what stands already is not written twice"
        )


def is_unique_violation(error: Exception) -> bool:
    """Tell whether a driver's error is the violation of a unique constraint."""
    cause = getattr(error, "orig", None) or error
    return _state(error) == _UNIQUE or isinstance(cause, sqlite3.IntegrityError)


def _state(error: Exception) -> str | None:
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "sqlstate", None)


def _is_undone(error: TransientError) -> bool:
    return not isinstance(error, CommitInDoubt)


def _is_refusal(cause: BaseException) -> bool:
    return type(cause).__name__ == "OperationalError" and bool(_REFUSED.search(str(cause)))


def _is_transient(cause: BaseException) -> bool:
    if isinstance(cause, sa.exc.TimeoutError):
        return True
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorname", None) in _SQLITE_BUSY
    state = getattr(cause, "sqlstate", None)
    if state is None:  # psycopg gives none where the server gave none: the connection broke, or never was
        return type(cause).__name__ in _BROKEN
    return state == _TOO_LONG or str(state).startswith(_AWAY)
