"""Where statements run: each in a transaction of its own, or all in one that someone else has opened."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_transactions import Contest, UnitOfWork
from pipelines_persistence.repositories.boundaries import Lifetime, refuse_within

T = TypeVar("T")


class Transactions(Protocol):
    """Runs what reads and what writes."""

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what a function reads, as it is at one moment."""

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Commit what a function does; it may be called again."""

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Hold a connection while rows are walked, as they are at one moment."""

    def require_open(self) -> None:
        """Raise `UnitMisused` where a walk may not go on."""


class OwnTransactions(UnitOfWork):
    """A transaction for each call."""

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        with self.reading() as connection:
            return work(connection)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """See `Transactions`."""
        options: dict[str, Any] = {"sqlite_begin": "DEFERRED"}
        if self.engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"  # a page and what it includes: of one moment
        with self.errors(), self.engine.connect().execution_options(**options) as connection:
            yield connection

    def require_open(self) -> None:
        """See `Transactions`."""


class OutsideTransactions(OwnTransactions):
    """A transaction for each call, also for one that reads: within a unit of work it would read past it."""

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """See `Transactions`; it raises `UnitMisused`."""
        self.require_open()
        with super().reading() as connection:
            yield connection

    def require_open(self) -> None:
        """See `Transactions`."""
        refuse_within(self.engine.url)


class JoinedTransaction(UnitOfWork):
    """The transaction that is open on a connection: its owner retries, translates errors, commits, and says when it is over."""

    def __init__(self, connection: sa.Connection) -> None:
        """Take the connection."""
        super().__init__(connection.engine)
        self._connection = connection
        self.lifetime = Lifetime()

    def connection(self) -> sa.Connection:
        """Return the connection.

        Raises:
            UnitMisused: the transaction is over.
        """
        self.lifetime.require()
        return self._connection

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """See `Transactions`."""
        return work(self.connection())

    def write(self, work: Callable[[sa.Connection], T], contest: Contest | None = None) -> T:  # noqa: ARG002 - as the base has it
        """See `Transactions`."""
        return work(self.connection())

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """See `Transactions`."""
        yield self.connection()

    def require_open(self) -> None:
        """See `Transactions`."""
        self.lifetime.require()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Leave a driver's error as it is: the owner has to see it."""
        yield
