"""What reads and writes rows: readers, repositories, and a unit of work over several of them and the log."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from pipelines_persistence.repositories.including import Relation
from pipelines_persistence.repositories.paging import Page
from pipelines_persistence.repositories.specification import Specification, everything
from pipelines_persistence.repositories.tables import R, Table

Log_co = TypeVar("Log_co", covariant=True)
"""The event log, as one transaction sees it."""

Result = TypeVar("Result")

ALL: Specification[Any] = everything()
"""What is asked for where nothing is said."""

PAGE = 100
"""Rows of a page where nothing is said."""


class Reader(Protocol[R]):
    """The rows of a table, to read.

    Every method may raise `ConfigurationError` (a specification, an order or a key does not fit the table),
    `DatabaseUnavailable` (the same call may succeed later), `StorageError` (something has to be changed first) and
    `UnitMisused` (of a unit of work that has ended, or past the one that is open).
    """

    def get(self, *key: str | int) -> R | None:
        """Return the row of a key, if there is one."""

    def first(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> R | None:
        """Return the first row that is meant, if there is one."""

    def find(
        self,
        specification: Specification[R] = ALL,
        *,
        order: Sequence[str] = (),
        limit: int = PAGE,
        after: str | None = None,
        include: Sequence[Relation[Any]] = (),
    ) -> Page[R]:
        """Return a page of the rows that are meant.

        A row that is there throughout, and stays where it is in the order, comes exactly once in a walk over the pages.

        Args:
            specification: which rows.
            order: fields, "-" before those whose greatest comes first; nulls come last, equal rows by their key. By
                default the table's own order.
            limit: the most rows, at least 1 and at most 1,000,000, with `include` 5,000.
            after: the `next` of the page before, in the same order.
            include: related rows to read with them: one query for each relation.
        """

    def walk(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> Iterator[R]:
        """Walk all rows that are meant, as they are at one moment, in bounded memory."""

    def count(self, specification: Specification[R] = ALL) -> int:
        """Return how many rows are meant."""

    def exists(self, specification: Specification[R] = ALL) -> bool:
        """Tell whether any row is meant."""


class Repository(Reader[R], Protocol[R]):
    """The rows of a table. A row is a value: what was read is changed by giving back another one.

    Where the table has a version, no change is made to a row that someone else has changed since it was read.
    """

    def add(self, row: R) -> R:
        """Keep a new row, and return it as it is kept: with version 1, where the table has one.

        Raises:
            RowConflict: there is a row of its key.
            RowRefused: no database could keep it.
        """

    def update(self, row: R) -> R:
        """Keep a row in place of the one of its key, and return it as it is kept: with the next version.

        Raises:
            RowConflict: there is no such row, or it has another version than this one was read with.
            RowRefused: no database could keep it.
        """

    def delete(self, row: R) -> None:
        """Remove a row.

        Raises:
            RowConflict: there is no such row, or it has another version than this one was read with.
        """


class Work(Protocol[Log_co]):
    """An open transaction. When it has ended, whatever it handed out raises `UnitMisused`."""

    @property
    def events(self) -> Log_co:
        """The log: what is appended stands when the unit is committed, and not before."""

    def repository(self, table: Table[R]) -> Repository[R]:
        """Return the rows of a table as this transaction sees and changes them.

        Raises:
            ConfigurationError: the table was not opened.
        """


class UnitOfWork(Protocol[Log_co]):
    """Transactions over tables of one's own and the event log. Safe to share between threads.

    They are serializable: units that run at the same time leave what some order of them would.

    Within a unit only its own repositories and events are used. What would go past it (another unit, a repository of no
    unit, an append to the log) raises `UnitMisused` at once, for it would wait for the unit, or stand without it.
    """

    def open(self, table: Table[Any]) -> None:
        """Make a table where it is not there; of several processes one does, and the others wait.

        Raises:
            ConfigurationError: it has no name, or one of that name was made with other columns.
        """

    def run(self, work: Callable[[Work[Log_co]], Result]) -> Result:
        """Commit all that a function does, or nothing where it raises.

        It is called again, as a whole, when the database breaks off the transaction for another's sake: so it does nothing
        else that must not happen twice, and reads within the unit what it decides upon. A `RowConflict` or
        `ConcurrencyConflict` is not repeated: it says that what was read outside is out of date.

        After `DatabaseUnavailable`, which leaves open whether it stands, repeat the call with the same event ids: if they
        stand, so does the rest, and nothing is written again.

        Raises:
            EventRefused: some of its events stand already and others do not.
            DatabaseContended: each attempt of some seconds lost to other units; nothing was written.
            UnitMisused: it is called within a unit.
        """

    def repository(self, table: Table[R]) -> Repository[R]:
        """Return the rows of a table; each call is a unit of its own."""
