"""Read models that were asked the same before: answers from the cache, as new as the checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic

import msgspec

from pipelines_persistence.caching import Cache, CachedReads, Struct
from pipelines_persistence.projections.ports import Build, ReadModels
from pipelines_persistence.records import Json
from pipelines_persistence.repositories import Page, Reader, Relation, Specification, Table
from pipelines_persistence.repositories.ports import ALL, PAGE
from pipelines_persistence.repositories.tables import R, columns_of


class _Answer(msgspec.Struct, Generic[R], array_like=True):
    rows: list[R]
    next: str | None = None
    count: int = 0


class CachedReader(Generic[R]):
    """A `Reader` of one build of a read model. Walks, and pages with included rows, are not kept."""

    def __init__(
        self, reader: Reader[R], models: ReadModels, build: Build, table: Table[R], cache: Cache
    ) -> None:
        """Take what answers, whose it is, and where answers are kept."""
        self._reader = reader
        self._models = models
        self._build = build
        self._columns = table.row
        kind: Any = _Answer[table.row]  # type: ignore[name-defined]  # a type that is known only now
        model = f"{build.projection}-{table.name}" if table.name else build.projection
        self._reads: CachedReads[_Answer[R]] = CachedReads(cache, model, Struct("answer", kind))

    def get(self, *key: str | int) -> R | None:
        """See `Reader`."""
        answer = self._asked(["get", *key], lambda: _first(self._reader.get(*key)))
        return next(iter(answer.rows), None)

    def first(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> R | None:
        """See `Reader`."""
        question: Json = ["first", self._text(specification), *order]
        answer = self._asked(question, lambda: _first(self._reader.first(specification, order=order)))
        return next(iter(answer.rows), None)

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
        if include:
            return self._reader.find(specification, order=order, limit=limit, after=after, include=include)

        def load() -> _Answer[R]:
            page = self._reader.find(specification, order=order, limit=limit, after=after)
            return _Answer(page.items, page.next)

        answer = self._asked(["find", self._text(specification), [*order], limit, after], load)
        return Page(answer.rows, answer.next)

    def walk(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> Iterator[R]:
        """See `Reader`."""
        return self._reader.walk(specification, order=order)

    def count(self, specification: Specification[R] = ALL) -> int:
        """See `Reader`."""
        question: Json = ["count", self._text(specification)]
        return self._asked(question, lambda: _Answer([], count=self._reader.count(specification))).count

    def exists(self, specification: Specification[R] = ALL) -> bool:
        """See `Reader`."""
        return self.first(specification) is not None

    def _asked(self, question: Json, load: Callable[[], _Answer[R]]) -> _Answer[R]:
        build = self._build
        # Ids begin anew with a new database, moments do not; the number of events that were worked in only grows.
        name = f"{build.projection} {build.id} {build.created_at.isoformat()}"
        partitions = range(build.partitions)
        worked_in = sum(self._models.checkpoint(build, partition).events for partition in partitions)
        return self._reads.get_or_load(question, load, build=name, checkpoint=worked_in)

    def _text(self, specification: Specification[R]) -> str:
        return repr(specification.bound(columns_of(self._columns)))


def _first(row: R | None) -> _Answer[R]:
    return _Answer([] if row is None else [row])
