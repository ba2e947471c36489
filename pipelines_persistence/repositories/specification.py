"""Specifications: which rows are meant, said once, and asked of a row in Python or of a table in SQL.

After Evans and Fowler, https://martinfowler.com/apsupp/spec.pdf
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.repositories.conditions import (
    Condition,
    Every,
    Operator,
    Opposite,
    Predicate,
    Some,
    Test,
    parameters,
    predicate,
)
from pipelines_persistence.repositories.tables import Column, Kind, R, column_named, columns_of
from pipelines_persistence.repositories.values import fitting, fitting_item, misfit

MOST_VALUES = 10_000
"""In one `in_`: databases take no more than some ten thousand parameters."""

MOST_PARAMETERS = 30_000
"""In one specification: SQLite takes 32,766, and a page adds some."""

DEEPEST = 40
"""Levels of a specification: SQLite's parser ends at 74 where they are simple, and earlier where they are wide."""

Columns = Mapping[str, Column]

_NO_TRUTH = (
    "what is asked of rows is neither true nor false by itself: combine specifications with & | ~ instead of and, or, not, "
    "each comparison in parentheses, and write (f > 1) & (f < 3) for 1 < f < 3"
)
_LAST = "\U0010ffff"
_SURROGATES = (0xD7FF, 0xE000)


class Specification(Generic[R]):
    """Which rows of a table are meant. Immutable; combine it with `&`, `|` and `~`.

    A null is equal to nothing, and neither less nor greater than anything; `~` is the exact complement.
    """

    __slots__ = ()

    def __and__(self, other: "Specification[R]") -> "Specification[R]":
        """Return what both mean."""
        return _All((*_parts(self, _All), *_parts(other, _All)))

    def __or__(self, other: "Specification[R]") -> "Specification[R]":
        """Return what one of them means, or both."""
        return _Any((*_parts(self, _Any), *_parts(other, _Any)))

    def __invert__(self) -> "Specification[R]":
        """Return what it does not mean."""
        return self.part if isinstance(self, _Not) else _Not(self)

    def __bool__(self) -> bool:
        """Refuse to be true or false, as `and`, `or`, `not` and `1 < field("g") < 3` would have it.

        Raises:
            TypeError: always.
        """
        raise TypeError(_NO_TRUTH)

    def holds(self, row: R) -> bool:
        """Tell whether a row is meant; `predicate` is quicker for many.

        Raises:
            ConfigurationError: the row has no such field, or a value does not fit it.
        """
        return self.predicate(type(row))(row)

    def predicate(self, row: type[R]) -> Predicate:
        """Return the specification as a function of rows of a type; see `holds` for what it raises."""
        return predicate(self.bound(columns_of(row)))

    def bound(self, columns: Columns) -> Condition:
        """Return what is meant of a table with these columns; see `holds` for what it raises."""
        condition = self._bound(columns, DEEPEST)
        if parameters(condition) > MOST_PARAMETERS:
            raise ConfigurationError(
                f"the specification has more than {MOST_PARAMETERS} values, which no database takes at once: ask in parts"
            )
        return condition

    def _bound(self, columns: Columns, depth: int) -> Condition:
        raise NotImplementedError


class NamedSpecification(Specification[R]):
    """Base of specifications with a name of their own: frozen dataclasses, whose fields are what they ask for."""

    __slots__ = ()

    @property
    def meaning(self) -> Specification[R]:
        """What the name stands for."""
        raise NotImplementedError

    def _bound(self, columns: Columns, depth: int) -> Condition:
        return self.meaning._bound(columns, _deeper(depth))  # noqa: SLF001 - of the same class


def everything() -> Specification[Any]:
    """Mean all rows."""
    return _All(())


def nothing() -> Specification[Any]:
    """Mean no row."""
    return _Any(())


class Field:
    """A column of whatever table is asked, for comparisons: `field("events") >= 10`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """Take the name of the column."""
        self.name = name

    def __eq__(self, value: object) -> Specification[Any]:  # type: ignore[override]  # it says what is to be equal
        """Mean rows with this value, or with null where it is None."""
        return _Leaf(self.name, Operator.EQUAL, value)

    def __ne__(self, value: object) -> Specification[Any]:  # type: ignore[override]  # as above
        """Mean all other rows than `==` does."""
        return ~_Leaf(self.name, Operator.EQUAL, value)

    def __lt__(self, value: object) -> Specification[Any]:
        """Mean rows with a lesser value; texts compare by their code points."""
        return _Leaf(self.name, Operator.LESS, value)

    def __le__(self, value: object) -> Specification[Any]:
        """Mean rows with a lesser value, or the same."""
        return _Leaf(self.name, Operator.AT_MOST, value)

    def __gt__(self, value: object) -> Specification[Any]:
        """Mean rows with a greater value."""
        return _Leaf(self.name, Operator.GREATER, value)

    def __ge__(self, value: object) -> Specification[Any]:
        """Mean rows with a greater value, or the same."""
        return _Leaf(self.name, Operator.AT_LEAST, value)

    __hash__ = None  # type: ignore[assignment]  # equality is a question here, so it cannot be a key

    def __bool__(self) -> bool:
        """Refuse to be true or false.

        Raises:
            TypeError: always.
        """
        raise TypeError(_NO_TRUTH)

    def in_(self, values: Iterable[object]) -> Specification[Any]:
        """Mean rows with one of these values, or with null where None is among them; none means no row.

        Raises:
            ConfigurationError: it is one value, or a text, whose characters would each be one.
        """
        if isinstance(values, str | bytes | bytearray) or not isinstance(values, Iterable):
            raise ConfigurationError(
                f"in_ on {self.name!r} takes several values, such as a list, and not {values!r}: write in_([...]), or =="
            )
        return _Leaf(self.name, Operator.ONE_OF, tuple(values))

    def is_null(self) -> Specification[Any]:
        """Mean rows without a value."""
        return _Leaf(self.name, Operator.NULL, None)

    def contains(self, item: object) -> Specification[Any]:
        """Mean rows whose list has an item; true is not 1, but 1 is 1.0."""
        return _Leaf(self.name, Operator.CONTAINS, item)

    def starts_with(self, text: str) -> Specification[Any]:
        """Mean rows whose text begins so; no character has a special meaning."""
        return _Prefix(self.name, text)


def field(name: str) -> Field:
    """Return a column to compare with."""
    return Field(name)


@dataclass(frozen=True, slots=True)
class _Leaf(Specification[Any]):
    name: str
    operator: Operator
    value: Any

    def _bound(self, columns: Columns, depth: int) -> Condition:  # noqa: ARG002 - of one signature
        return _BINDERS.get(self.operator, _compared)(
            column_named(columns, self.name), self.operator, self.value
        )


@dataclass(frozen=True, slots=True)
class _Prefix(Specification[Any]):
    name: str
    text: str

    def _bound(self, columns: Columns, depth: int) -> Condition:  # noqa: ARG002 - as above
        # A range, and no LIKE: exact in every database, whatever the text holds, and an index serves it.
        column = column_named(columns, self.name)
        if column.kind is not Kind.TEXT:
            raise misfit(column, self.text, "only a text starts with something")
        first = Test(column, Operator.AT_LEAST, fitting(column, self.text))
        end = _successor(self.text)
        return Every((first, Test(column, Operator.LESS, end))) if end else first


@dataclass(frozen=True, slots=True)
class _All(Specification[Any]):
    parts: tuple[Specification[Any], ...]

    def _bound(self, columns: Columns, depth: int) -> Condition:
        return Every(tuple(part._bound(columns, _deeper(depth)) for part in self.parts))  # noqa: SLF001 - of the same class


@dataclass(frozen=True, slots=True)
class _Any(Specification[Any]):
    parts: tuple[Specification[Any], ...]

    def _bound(self, columns: Columns, depth: int) -> Condition:
        return Some(tuple(part._bound(columns, _deeper(depth)) for part in self.parts))  # noqa: SLF001 - as above


@dataclass(frozen=True, slots=True)
class _Not(Specification[Any]):
    part: Specification[Any]

    def _bound(self, columns: Columns, depth: int) -> Condition:
        return Opposite(self.part._bound(columns, _deeper(depth)))  # noqa: SLF001 - as above


def _parts(given: Specification[R], kind: type[_All] | type[_Any]) -> tuple[Specification[R], ...]:
    return given.parts if isinstance(given, kind) and given.parts else (given,)


def _deeper(depth: int) -> int:
    if not depth:
        raise ConfigurationError(
            f"the specification is nested more than {DEEPEST} levels deep: use in_, or fewer"
        )
    return depth - 1


def _compared(column: Column, operator: Operator, value: object) -> Condition:
    if value is None and operator is Operator.EQUAL:
        return Test(column, Operator.NULL)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise misfit(column, value, "nothing compares with it; ask with is_null()")
    if operator is not Operator.EQUAL and column.kind in (Kind.BOOLEAN, Kind.JSON):
        raise misfit(column, value, f"a {column.kind} has no order; use == or !=")
    return Test(column, operator, fitting(column, value))


def _one_of(column: Column, _operator: Operator, values: tuple[object, ...]) -> Condition:
    if len(values) > MOST_VALUES:
        raise misfit(column, f"{len(values)} values", f"in_ takes {MOST_VALUES} at most")
    wanted = tuple(_compared(column, Operator.EQUAL, value) for value in values if value is not None)
    found = Test(column, Operator.ONE_OF, tuple(one.value for one in wanted if isinstance(one, Test)))
    return Some((found, Test(column, Operator.NULL))) if len(wanted) < len(values) else found


def _null(column: Column, operator: Operator, _value: object) -> Condition:
    return Test(column, operator)


def _containing(column: Column, operator: Operator, item: object) -> Condition:
    return Test(column, operator, fitting_item(column, item))


_BINDERS: dict[Operator, Callable[[Column, Operator, Any], Condition]] = {
    Operator.ONE_OF: _one_of,
    Operator.NULL: _null,
    Operator.CONTAINS: _containing,
}


def _successor(text: str) -> str:
    """Return the least text that is greater than all that begin with `text`; "" where there is none."""
    rest = text.rstrip(_LAST)
    if not rest:
        return ""
    before, after = _SURROGATES
    last = ord(rest[-1])
    return rest[:-1] + chr(after if last == before else last + 1)
