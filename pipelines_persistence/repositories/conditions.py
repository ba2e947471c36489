"""What a specification means for a certain table: a small tree of tests that Python and SQL evaluate alike.

Logic has two values. A null is equal to nothing, less than nothing and greater than nothing, so each test is false for it
(but the one that asks for it), and a negation is the exact complement of what it negates.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from pipelines_persistence.repositories.tables import Column, Kind

Predicate: TypeAlias = Callable[[Any], bool]

_PLAIN = (str, int, float, type(None))
_encoder = msgspec.json.Encoder(decimal_format="string")


class Operator(StrEnum):
    """What a test asks of a column."""

    EQUAL = "="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    ONE_OF = "in"
    NULL = "is null"
    CONTAINS = "contains"
    """The column is a list that has the item."""


@dataclass(frozen=True, slots=True)
class Test:
    """One question to one column.

    Attributes:
        value: as `values.fitting` gives it; for ONE_OF a tuple of such, for CONTAINS a plain item, for NULL nothing.
    """

    column: Column
    operator: Operator
    value: Any = None


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold; without parts, always."""

    parts: "tuple[Condition, ...]" = ()


@dataclass(frozen=True, slots=True)
class Some:
    """One part holds, or more; without parts, never."""

    parts: "tuple[Condition, ...]" = ()


@dataclass(frozen=True, slots=True)
class Opposite:
    """The part does not hold."""

    part: "Condition"


Condition: TypeAlias = Test | Every | Some | Opposite


def parameters(condition: Condition) -> int:
    """Return how many values a database is given with a condition, at most."""
    if isinstance(condition, Test):
        return len(condition.value) if condition.operator is Operator.ONE_OF else 2
    parts = (condition.part,) if isinstance(condition, Opposite) else condition.parts
    return sum(map(parameters, parts))


def predicate(condition: Condition) -> Predicate:
    """Return a condition as a function of a row."""
    if isinstance(condition, Test):
        return _tested(condition)
    if isinstance(condition, Opposite):
        part = predicate(condition.part)
        return lambda row: not part(row)
    parts = [predicate(one) for one in condition.parts]
    combine = all if isinstance(condition, Every) else any
    return lambda row: combine(part(row) for part in parts)


def reader(column: Column) -> Callable[[Any], Any]:
    """Return a function from a row to the value of a column as a database keeps it: no NaN, moments in UTC."""
    read = operator.attrgetter(column.name)
    if column.kind is Kind.FLOAT:
        return lambda row: None if (value := read(row)) != value else value  # only NaN differs from itself
    if column.kind is Kind.MOMENT:
        return lambda row: _in_utc(read(row))
    return read


def json_text(value: object) -> str:
    """Return a value as the JSON that stands in its column."""
    return _encoder.encode(value).decode()


def _tested(test: Test) -> Predicate:
    read, value = reader(test.column), test.value
    if test.operator is Operator.NULL:
        return lambda row: read(row) is None
    if test.operator is Operator.CONTAINS:
        return lambda row: _contains(read(row), value)
    if test.column.kind is Kind.JSON:
        read = _as_json(read)
    if test.operator is Operator.ONE_OF:
        values = frozenset(value)
        return lambda row: read(row) in values
    compare = _COMPARISONS[test.operator]
    return lambda row: (held := read(row)) is not None and bool(compare(held, value))


_COMPARISONS: dict[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQUAL: operator.eq,
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.GREATER: operator.gt,
    Operator.AT_LEAST: operator.ge,
}


def _as_json(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda row: None if (value := read(row)) is None else json_text(value)


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo is UTC else moment.astimezone(UTC)


def _contains(held: object, item: object) -> bool:
    return isinstance(held, list | tuple | set | frozenset) and any(_same(one, item) for one in held)


def _same(one: object, item: object) -> bool:
    """Compare as JSON does: true is not 1, but 1 is 1.0."""
    plain = one if isinstance(one, _PLAIN) else msgspec.to_builtins(one)
    return plain == item and isinstance(plain, bool) == isinstance(item, bool)
