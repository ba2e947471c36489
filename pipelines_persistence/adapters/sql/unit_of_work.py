"""The `UnitOfWork` port on SQLite and PostgreSQL: rows of one's own and the event log in one transaction."""

import time
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.event_streams import SqlStreams
from pipelines_persistence.adapters.sql.event_transactions import Sleep, Taken, UnitOfWork
from pipelines_persistence.adapters.sql.own_tables import ensure, own_table
from pipelines_persistence.adapters.sql.read_model_tables import SqlTable
from pipelines_persistence.adapters.sql.repositories import SqlRepository
from pipelines_persistence.adapters.sql.transactions import JoinedTransaction, OutsideTransactions
from pipelines_persistence.adapters.streams import Streams
from pipelines_persistence.errors import ConfigurationError, StorageError
from pipelines_persistence.repositories import Relation, Repository, Work
from pipelines_persistence.repositories.boundaries import within
from pipelines_persistence.repositories.tables import R, Table

T = TypeVar("T")
Seal: TypeAlias = Callable[[Streams, UnitOfWork], Streams]
"""Returns streams that seal personal data, with keys that are made and found in a transaction."""

_BROKEN_OFF = 3  # psycopg's word for a transaction that can only be rolled back


def _as_it_is(streams: Streams, _transaction: UnitOfWork) -> Streams:
    return streams


class _Repeated(Exception, Generic[T]):
    """The unit was committed before: roll back, and return what its function returned."""

    def __init__(self, result: T) -> None:
        super().__init__()
        self.result = result


class SqlUnitOfWork:
    """See `UnitOfWork`."""

    def __init__(
        self, engine: sa.Engine, store: SqlEventStore, *, seal: Seal = _as_it_is, sleep: Sleep = time.sleep
    ) -> None:
        """Take what it works with, whose owners close it.

        Args:
            engine: of an up-to-date database.
            store: the log in the same database.
            seal: wraps the log of each unit, where personal data has to be sealed.
            sleep: waits between two attempts, in seconds.
        """
        self._own = OutsideTransactions(engine, sleep)
        # One snapshot for all that a unit reads, and none of its decisions on rows that others change meanwhile.
        serializable = engine.execution_options(isolation_level="SERIALIZABLE")
        self._units = OutsideTransactions(
            serializable if engine.dialect.name == "postgresql" else engine, sleep
        )
        self._backend = store._backend  # noqa: SLF001 - of the same adapter
        self._seal = seal
        self._tables: dict[str, SqlTable] = {}

    def open(self, table: Table[Any]) -> None:
        """See `UnitOfWork`."""
        place = own_table(table, self._own.engine.dialect.name)
        self._own.write(lambda connection: ensure(connection, place))
        self._tables[table.name] = place

    def run(self, work: Callable[[Work[Streams]], T]) -> T:
        """See `UnitOfWork`."""
        contest = self._units.contest()
        while True:
            try:
                result, appended = self._units.write(lambda connection: self._once(connection, work), contest)
            except Taken as taken:  # another writer was faster: what this one decided upon is out of date
                contest.lost(taken.__cause__)
            except _Repeated as before:
                repeated: T = before.result
                return repeated
            else:
                if appended:
                    self._backend.announce()
                    self._backend.has_grown(appended)
                return result

    def repository(self, table: Table[R]) -> Repository[R]:
        """See `UnitOfWork`."""
        return SqlRepository(table, self.place(table), self._own, self._located)

    def place(self, table: Table[Any]) -> SqlTable:
        """Return where the rows of a table are.

        Raises:
            ConfigurationError: it was not opened.
        """
        if table.name not in self._tables or self._tables[table.name].table.row is not table.row:
            raise ConfigurationError(
                f"the table {table.name!r} is not open: call open(table) once, before any unit"
            )
        return self._tables[table.name]

    def _located(self, relation: Relation[Any]) -> SqlTable:
        return self.place(relation.table)

    def _once(self, connection: sa.Connection, work: Callable[[Work[Streams]], T]) -> tuple[T, int]:
        transaction = JoinedTransaction(connection)
        streams = SqlStreams(self._backend, transaction.connection)
        try:
            with within(connection.engine.url):
                result = work(SqlWork(self, transaction, self._seal(streams, transaction)))
        finally:
            transaction.lifetime.is_over = True
        _refuse_broken(connection)
        if streams.repeats.is_repeated():
            raise _Repeated(result)
        return result, streams.repeats.appended


class SqlWork:
    """See `Work`."""

    def __init__(self, units: SqlUnitOfWork, transaction: JoinedTransaction, events: Streams) -> None:
        """Take where the tables are, the open transaction, and the log in it."""
        self._units = units
        self._transaction = transaction
        self.events = events

    def repository(self, table: Table[R]) -> Repository[R]:
        """See `Work`."""
        place = self._units.place(table)
        return SqlRepository(
            table, place, self._transaction, lambda relation: self._units.place(relation.table)
        )


def _refuse_broken(connection: sa.Connection) -> None:
    """Refuse to commit what PostgreSQL would silently roll back, for an error that the function has swallowed."""
    driver: Any = connection.connection.driver_connection
    info = getattr(driver, "info", None)
    if info is not None and info.transaction_status == _BROKEN_OFF:
        raise StorageError(
            "an error within the unit of work broke the transaction off, and its function went on: let such errors through"
        )
