"""Readers, repositories and units of work in memory: for tests, and for trying something out."""

import copy
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeAlias

from pipelines_persistence.errors import RowConflict
from pipelines_persistence.repositories.conditions import Condition, Every, predicate
from pipelines_persistence.repositories.including import Relation, check_page, grouped, linked
from pipelines_persistence.repositories.ordering import behind, ordered, terms
from pipelines_persistence.repositories.paging import Page, place_in, token_of
from pipelines_persistence.repositories.ports import ALL, PAGE
from pipelines_persistence.repositories.rows import admitted, keyed
from pipelines_persistence.repositories.specification import Specification
from pipelines_persistence.repositories.tables import Key, R, Table, columns_of

Content: TypeAlias = dict[Key, Any]
"""The rows of a table by their keys. What is in it is never changed, only replaced."""


class MemoryReader(Generic[R]):
    """See `Reader`."""

    def __init__(
        self,
        table: Table[R],
        rows: Callable[[], Collection[R]],
        related: Callable[[Relation[Any]], Collection[Any]],
    ) -> None:
        """Take the declaration, and what returns the rows as they are now: of the table, and of related ones."""
        self._table = table
        self._all = rows
        self._related = related

    def get(self, *key: str | int) -> R | None:
        """See `Reader`."""
        return next(self._meant(keyed(self._table, key)), None)

    def first(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> R | None:
        """See `Reader`."""
        return next(self.walk(specification, order=order), None)

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
        rows = list(itertools.islice(self._meant(condition, order), limit + 1))
        items = rows[:limit]
        following = token_of(self._table, by, items[-1]) if len(rows) > limit else None
        return Page(
            items, following, {relation.name: self._included(relation, items) for relation in include}
        )

    def walk(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> Iterator[R]:
        """See `Reader`."""
        return self._meant(self._bound(specification), order)

    def count(self, specification: Specification[R] = ALL) -> int:
        """See `Reader`."""
        return sum(map(predicate(self._bound(specification)), self._all()))

    def exists(self, specification: Specification[R] = ALL) -> bool:
        """See `Reader`."""
        return any(map(predicate(self._bound(specification)), self._all()))

    def _bound(self, specification: Specification[R]) -> Condition:
        return specification.bound(columns_of(self._table.row))

    def _meant(self, condition: Condition, order: Sequence[str] = ()) -> Iterator[R]:
        meant = filter(predicate(condition), self._all())
        return map(copy.deepcopy, ordered(meant, terms(self._table, order)))

    def _included(self, relation: Relation[Any], rows: Sequence[R]) -> dict[tuple[Any, ...], list[Any]]:
        found = filter(predicate(linked(relation, rows)), self._related(relation))
        by = terms(relation.table, relation.order)
        return grouped(relation, map(copy.deepcopy, ordered(found, by)))


class MemoryRepository(MemoryReader[R]):
    """See `Repository`; whoever opens it sees to it that nobody else writes meanwhile."""

    def __init__(
        self,
        table: Table[R],
        content: Callable[[], Content],
        related: Callable[[Relation[Any]], Collection[Any]],
        alone: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Take the declaration, what returns the rows to read and change, related ones, and what keeps others away."""
        super().__init__(table, lambda: list(content().values()), related)
        self._content = content
        self._alone = alone

    def walk(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> Iterator[R]:
        """See `Reader`."""
        return self._while_open(super().walk(specification, order=order))

    def add(self, row: R) -> R:
        """See `Repository`."""
        kept = admitted(self._table, row, 1)
        with self._alone():
            self._expect(kept, "absent")
            return self._keep(kept)

    def update(self, row: R) -> R:
        """See `Repository`."""
        expected = self._expected(row)
        kept = admitted(self._table, row, expected + 1 if isinstance(expected, int) else None)
        with self._alone():
            self._expect(kept, expected)
            return self._keep(kept)

    def delete(self, row: R) -> None:
        """See `Repository`."""
        with self._alone():
            self._expect(row, self._expected(row))
            del self._content()[self._table.key_of(row)]

    def _while_open(self, rows: Iterator[R]) -> Iterator[R]:
        for row in rows:
            yield row
            self._content()  # which refuses where nothing may be asked any more

    def _keep(self, row: R) -> R:
        self._content()[self._table.key_of(row)] = copy.deepcopy(row)
        return row

    def _expected(self, row: R) -> int | str:
        return int(getattr(row, self._table.version)) if self._table.version else "present"

    def _expect(self, row: R, expected: int | str) -> None:
        key = self._table.key_of(row)
        standing = self._content().get(key)
        actual = "absent" if standing is None else self._expected(standing)
        if actual != expected:
            raise RowConflict(self._table.name, key, expected, actual)
