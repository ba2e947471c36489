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
    DatabaseContended,
    DatabaseUnavailable,
    PipelinesError,
    StorageError,
    TransientError,
)
from pipelines_persistence.repositories.boundaries import refuse_within
from pipelines_persistence.resilience import Guard

T = TypeVar("T")
Sleep = Callable[[float], None]
Now = Callable[[], float]

_PATIENCE = 20.0  # seconds for all attempts of one transaction together
_FIRST, _LONGEST = 0.005, 0.25  # seconds between two of them
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


class Contest:
    """The attempts of one transaction that loses races: waits that grow, with jitter, all within a time.

    Whoever loops around another shares one, so that neither multiplies the other's attempts.
    """

    def __init__(self, sleep: Sleep, clock: Now = time.monotonic, seconds: float = _PATIENCE) -> None:
        """Take what waits, what tells the time, and how long to go on (seconds)."""
        self._sleep, self._clock, self._seconds = sleep, clock, seconds
        self._begun = clock()
        self._waited = 0.0
        self._lost = 0

    def lost(self, error: BaseException | None) -> None:
        """Wait before the next attempt.

        Raises:
            DatabaseContended: the time is over.
        """
        wait = _jittered(min(_LONGEST, _FIRST * 2**self._lost))
        self._lost += 1
        spent = max(self._clock() - self._begun, self._waited)
        if spent + wait > self._seconds:
            raise DatabaseContended(
                f"the database is contended: {self._lost} attempts in {spent:.1f} s each lost to another writer, the last one "
                f"by: {error or 'another was faster'}; nothing was written. Try again later, or let fewer write the same rows"
            ) from error
        self._waited += wait
        self._sleep(wait)


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

    def write(self, work: Callable[[sa.Connection], T], contest: Contest | None = None) -> T:
        """Commit what a function does, which runs again as a whole when the database chose it as a victim.

        It also runs again when the connection broke before the commit, where the engine has a guard.

        Args:
            work: what to do in the transaction.
            contest: of a loop around this one, which shares its time.

        Raises:
            UnitMisused: a unit of work over this database is open here, which this would not be part of.
            DatabaseContended: each attempt lost a race.
            Taken: a unique constraint was violated: what that means is the caller's to find out, never retried here.
            CommitInDoubt, DatabaseUnavailable, StorageError: see there.
            CircuitOpen: the database failed too often a moment ago.
            ConfigurationError: it refuses the user or the password.
        """
        refuse_within(self.engine.url)
        contest = contest or self.contest()
        while True:
            try:
                return self._call(lambda: self._commit(work))
            except _LostRace as race:
                lost = race.__cause__
            contest.lost(lost)

    def contest(self) -> Contest:
        """Return what a loop around `write` waits with, and gives it."""
        return Contest(self._sleep)

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
        self._sleep(_jittered(min(_LONGEST, _FIRST * 2**attempt)))

    def _call(self, work: Callable[[], T]) -> T:
        return self._guard.call(work, repeatable=_is_undone) if self._guard else work()

    def _commit(self, work: Callable[[sa.Connection], T]) -> T:
        committing = False
        try:
            with self.engine.begin() as connection:
                result = work(connection)
                committing = True
        except self._driver_errors() as error:
            cause = self._first_cause(error)  # whatever else broke when it was rolled back
            if is_unique_violation(cause):
                raise Taken from error
            if _state(cause) in _LOST_RACES:
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
        if _is_busy(cause) and not committing:
            return DatabaseContended(
                f"the database {url} is busy: {words}; another process or thread held it for too long. Try again later, and "
                "keep units of work short: it is safe to repeat"
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


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.3, 1)  # noqa: S311 - jitter is no secret


def is_unique_violation(error: BaseException) -> bool:
    """Tell whether a driver's error is the violation of a unique constraint."""
    cause = getattr(error, "orig", None) or error
    return _state(error) == _UNIQUE or isinstance(cause, sqlite3.IntegrityError)


def _state(error: BaseException) -> str | None:
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "sqlstate", None)


def _is_undone(error: TransientError) -> bool:
    return not isinstance(error, CommitInDoubt | DatabaseContended)


def _is_refusal(cause: BaseException) -> bool:
    return type(cause).__name__ == "OperationalError" and bool(_REFUSED.search(str(cause)))


def _is_busy(cause: BaseException) -> bool:
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorname", None) in _SQLITE_BUSY


def _is_transient(cause: BaseException) -> bool:
    if isinstance(cause, sa.exc.TimeoutError) or _is_busy(cause):
        return True
    if isinstance(cause, sqlite3.Error):
        return False
    state = getattr(cause, "sqlstate", None)
    if state is None:  # psycopg gives none where the server gave none: the connection broke, or never was
        return type(cause).__name__ in _BROKEN
    return state == _TOO_LONG or str(state).startswith(_AWAY)
