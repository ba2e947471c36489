"""The `Reader` and `Repository` ports on the tables of a database."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeAlias

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.conditions import Sql
from pipelines_persistence.adapters.sql.read_model_tables import SqlTable
from pipelines_persistence.adapters.sql.transactions import Transactions
from pipelines_persistence.errors import RowConflict
from pipelines_persistence.repositories.conditions import Condition, Every, Operator, Test
from pipelines_persistence.repositories.including import Relation, check_page, grouped, linked
from pipelines_persistence.repositories.ordering import behind, terms
from pipelines_persistence.repositories.paging import Page, place_in, token_of
from pipelines_persistence.repositories.ports import ALL, PAGE
from pipelines_persistence.repositories.rows import admitted, keyed
from pipelines_persistence.repositories.specification import Specification
from pipelines_persistence.repositories.tables import R, Table, columns_of

Locate: TypeAlias = Callable[[Relation[Any]], SqlTable]
"""From a relation to the table that its rows are in."""

_CHUNK = 1000  # rows in memory while they are walked


class SqlReader(Generic[R]):
    """See `Reader`."""

    def __init__(self, table: Table[R], place: SqlTable, transactions: Transactions, locate: Locate) -> None:
        """Take the declaration, the table in the database, where statements run, and where related rows are."""
        self._table = table
        self._place = place
        self._transactions = transactions
        self._locate = locate

    def get(self, *key: str | int) -> R | None:
        """See `Reader`."""
        rows = self._rows(self._place.select(keyed(self._table, key), terms(self._table), 1))
        return rows[0] if rows else None

    def first(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> R | None:
        """See `Reader`."""
        rows = self._rows(self._place.select(self._bound(specification), terms(self._table, order), 1))
        return rows[0] if rows else None

    def find(
        self,
        specification: Specification[R] = ALL,
        *,
        order: Sequence[str] = (),
        limit: int = PAGE,
        after: str | None = None,
        include: Sequence[Relation[Any]] = (),
    ) -> Page[R]:
        """See `Reader`."""
        check_page(self._table, limit, include)
        by, condition = terms(self._table, order), self._bound(specification)
        if after is not None:
            condition = Every((condition, behind(by, place_in(self._table, by, after))))
        places = [(relation, self._locate(relation)) for relation in include]
        query = self._place.select(condition, by, limit + 1)

        def read(connection: sa.Connection) -> Page[R]:
            rows = _structs(connection, self._place, query)
            items = rows[:limit]
            following = token_of(self._table, by, items[-1]) if len(rows) > limit else None
            included = {
                relation.name: _related(connection, relation, place, items) for relation, place in places
            }
            return Page(items, following, included)

        return self._transactions.read(read)

    def walk(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> Iterator[R]:
        """See `Reader`."""
        text, values = self._place.select(self._bound(specification), terms(self._table, order))
        return self._walk(text, values)

    def count(self, specification: Specification[R] = ALL) -> int:
        """See `Reader`."""
        return int(self._scalar(self._place.total(self._bound(specification))))

    def exists(self, specification: Specification[R] = ALL) -> bool:
        """See `Reader`."""
        return bool(self._scalar(self._place.any(self._bound(specification))))

    def _bound(self, specification: Specification[R]) -> Condition:
        return specification.bound(columns_of(self._table.row))

    def _walk(self, text: str, values: tuple[Any, ...]) -> Iterator[R]:
        options = {"stream_results": True, "max_row_buffer": _CHUNK}
        with (
            self._transactions.reading() as connection,
            connection.exec_driver_sql(text, values, execution_options=options) as result,
        ):
            for row in result:
                yield self._place.struct(tuple(row))
                self._transactions.require_open()

    def _rows(self, query: Sql) -> list[R]:
        return self._transactions.read(lambda connection: _structs(connection, self._place, query))

    def _scalar(self, query: Sql) -> Any:  # noqa: ANN401 - a number or a truth
        return self._transactions.read(lambda connection: connection.exec_driver_sql(*query).scalar_one())


class SqlRepository(SqlReader[R]):
    """See `Repository`."""

    def add(self, row: R) -> R:
        """See `Repository`."""
        kept = admitted(self._table, row, 1)

        def write(connection: sa.Connection) -> R:
            # Not by a violation, which would end the transaction on PostgreSQL.
            if not _changed(connection, self._place.insert(kept)):
                raise self._conflict(connection, kept, "absent")
            return kept

        return self._transactions.write(write)

    def update(self, row: R) -> R:
        """See `Repository`."""
        expected = self._expected(row)
        kept = admitted(self._table, row, expected + 1 if isinstance(expected, int) else None)
        statement = self._place.replace(kept, self._standing(row, expected))
        return self._change(kept, statement, expected)

    def delete(self, row: R) -> None:
        """See `Repository`."""
        expected = self._expected(row)
        self._change(row, self._place.remove(self._standing(row, expected)), expected)

    def _change(self, row: R, statement: Sql, expected: int | str) -> R:
        def write(connection: sa.Connection) -> R:
            if not _changed(connection, statement):
                raise self._conflict(connection, row, expected)
            return row

        return self._transactions.write(write)

    def _expected(self, row: R) -> int | str:
        return int(getattr(row, self._table.version)) if self._table.version else "present"

    def _standing(self, row: R, expected: int | str) -> Condition:
        condition = keyed(self._table, self._table.key_of(row))
        if not isinstance(expected, int):
            return condition
        version = columns_of(self._table.row)[self._table.version]
        return Every((condition, Test(version, Operator.EQUAL, expected)))

    def _conflict(self, connection: sa.Connection, row: R, expected: int | str) -> RowConflict:
        key = self._table.key_of(row)
        found = _structs(
            connection, self._place, self._place.select(keyed(self._table, key), terms(self._table), 1)
        )
        present = getattr(found[0], self._table.version) if found and self._table.version else "present"
        return RowConflict(self._table.name, key, expected, present if found else "absent")


def _structs(connection: sa.Connection, place: SqlTable, query: Sql) -> list[Any]:
    return [place.struct(tuple(row)) for row in connection.exec_driver_sql(*query)]


def _changed(connection: sa.Connection, statement: Sql) -> bool:
    return connection.exec_driver_sql(*statement).rowcount > 0


def _related(
    connection: sa.Connection, relation: Relation[Any], place: SqlTable, rows: Sequence[Any]
) -> dict[tuple[Any, ...], list[Any]]:
    if not rows:
        return {}
    by = terms(relation.table, relation.order)
    query = place.select_first(linked(relation, rows), list(relation.by.values()), by, relation.most)
    return grouped(relation, _structs(connection, place, query))
