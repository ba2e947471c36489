"""What readers see of a read model, whichever build that is; what was asked the same before comes from the cache."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from pipelines_persistence.caching import Cache, CachedReads, Struct
from pipelines_persistence.errors import StorageError
from pipelines_persistence.projections.ports import ReadModels, Standing, never_built
from pipelines_persistence.records import Json
from pipelines_persistence.repositories import Page, Reader, Relation, Specification, Table
from pipelines_persistence.repositories.ports import ALL, PAGE
from pipelines_persistence.repositories.tables import R, columns_of

A = TypeVar("A")

_TRIES = 3
"""Content that moves so often while it is read is read without being kept."""


class _Answer(msgspec.Struct, Generic[R], array_like=True):
    rows: list[R]
    next: str | None = None
    count: int = 0


class _Moved(Exception):
    """The content was another one by the end of the reading, so the answer must not be kept under its name."""


class LiveReader(Generic[R]):
    """A `Reader` of the live build of a read model, which is looked up for each question: keep it as long as you like.

    Each question raises `ConfigurationError` if the projection was never built. Walks, and pages with included rows, are not
    kept.
    """

    def __init__(self, models: ReadModels, projection: str, table: Table[R], cache: Cache) -> None:
        """Take where the builds are, whose they are, and where answers are kept."""
        self._models = models
        self._projection = projection
        self._table = table
        kind: Any = _Answer[table.row]  # type: ignore[name-defined]  # a type that is known only now
        model = f"{projection}-{table.name}" if table.name else projection
        self._reads: CachedReads[_Answer[R]] = CachedReads(cache, model, Struct("answer", kind))

    def get(self, *key: str | int) -> R | None:
        """See `Reader`."""
        answer = self._asked(["get", *key], lambda reader: _first(reader.get(*key)))
        return next(iter(answer.rows), None)

    def first(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> R | None:
        """See `Reader`."""
        question: Json = ["first", self._text(specification), *order]
        answer = self._asked(question, lambda reader: _first(reader.first(specification, order=order)))
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
            return self._read(
                lambda reader: reader.find(
                    specification, order=order, limit=limit, after=after, include=include
                )
            )

        def load(reader: Reader[R]) -> _Answer[R]:
            page = reader.find(specification, order=order, limit=limit, after=after)
            return _Answer(page.items, page.next)

        answer = self._asked(["find", self._text(specification), [*order], limit, after], load)
        return Page(answer.rows, answer.next)

    def walk(self, specification: Specification[R] = ALL, *, order: Sequence[str] = ()) -> Iterator[R]:
        """See `Reader`. All rows are of one build: the one that is live when it begins."""
        return self._reader(self._standing()).walk(specification, order=order)

    def count(self, specification: Specification[R] = ALL) -> int:
        """See `Reader`."""
        question: Json = ["count", self._text(specification)]
        return self._asked(question, lambda reader: _Answer([], count=reader.count(specification))).count

    def exists(self, specification: Specification[R] = ALL) -> bool:
        """See `Reader`."""
        return self.first(specification) is not None

    def _asked(self, question: Json, ask: Callable[[Reader[R]], _Answer[R]]) -> _Answer[R]:
        for _ in range(_TRIES):
            seen = self._standing()
            try:
                return self._reads.get_or_load(
                    question, partial(self._load, seen, ask), content=seen.identity
                )
            except _Moved:
                continue
        return self._read(ask)

    def _load(self, seen: Standing, ask: Callable[[Reader[R]], _Answer[R]]) -> _Answer[R]:
        """Return an answer that is of the content that was seen, and of no later one: that would be wrong after a restore."""
        try:
            answer = ask(self._reader(seen))
        except StorageError:  # perhaps the build was dropped
            if self._standing().build.id != seen.build.id:
                raise _Moved from None
            raise
        if self._standing().identity != seen.identity:
            raise _Moved
        return answer

    def _read(self, ask: Callable[[Reader[R]], A]) -> A:
        """Return an answer that is not kept; asked again only if the build was dropped meanwhile."""
        while True:
            seen = self._standing()
            try:
                return ask(self._reader(seen))
            except StorageError:
                if self._standing().build.id == seen.build.id:
                    raise

    def _standing(self) -> Standing:
        found = self._models.standing(self._projection)
        if found is None:
            raise never_built(self._projection)
        return found

    def _reader(self, seen: Standing) -> Reader[R]:
        return self._models.repository(seen.build, self._table)

    def _text(self, specification: Specification[R]) -> str:
        return repr(specification.bound(columns_of(self._table.row)))


def _first(row: R | None) -> _Answer[R]:
    return _Answer([] if row is None else [row])
