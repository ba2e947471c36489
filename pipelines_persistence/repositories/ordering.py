"""In which order rows come: by fields, nulls last whichever way, equal ones by their key."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.repositories.conditions import Condition, Every, Operator, Some, Test, reader
from pipelines_persistence.repositories.tables import Column, Kind, R, Table, column_named, columns_of


@dataclass(frozen=True, slots=True)
class Term:
    """A column that rows are ordered by."""

    column: Column
    is_descending: bool = False


def terms(table: Table[Any], order: Sequence[str] = ()) -> tuple[Term, ...]:
    """Return what decides the order of a table's rows, and decides it wholly: the key comes last.

    Args:
        table: whose rows they are.
        order: names of fields, with a "-" before those whose greatest comes first; by default the table's own.

    Raises:
        ConfigurationError: there is no such field, or it has no order.
    """
    columns = columns_of(table.row)
    found: dict[str, Term] = {}
    for name in (*(order or table.order), *table.key):
        term = Term(column_named(columns, name.removeprefix("-")), name.startswith("-"))
        if term.column.kind is Kind.JSON:
            raise ConfigurationError(
                f"the column {term.column.name!r} is JSON, which has no order: order by another"
            )
        found.setdefault(term.column.name, term)
    return tuple(found.values())


def ordered(rows: Iterable[R], order: Sequence[Term]) -> list[R]:
    """Return rows in their order."""
    result = list(rows)
    for term in reversed(order):
        read = reader(term.column)
        known = sorted((row for row in result if read(row) is not None), key=read, reverse=term.is_descending)
        result = known + [row for row in result if read(row) is None]
    return result


def behind(order: Sequence[Term], values: Sequence[Any]) -> Condition:
    """Return what holds for the rows that come after the one with these values.

    Args:
        order: ends with the key.
        values: one for each term; None for null.
    """
    ways, same = list[Condition](), list[Condition]()
    for term, value in zip(order, values, strict=True):
        if value is not None:  # after a null comes none
            ways.append(Every((*same, _beyond(term, value))))
        same.append(_equal(term.column, value))
    # Implied by what follows, but only this lets a database begin in the middle of an index.
    return Every((*_bound(order[0], values[0]), Some(tuple(ways))))


def _beyond(term: Term, value: object) -> Condition:
    test = Test(term.column, Operator.LESS if term.is_descending else Operator.GREATER, value)
    return Some((test, Test(term.column, Operator.NULL))) if term.column.nullable else test


def _equal(column: Column, value: object) -> Condition:
    return Test(column, Operator.NULL) if value is None else Test(column, Operator.EQUAL, value)


def _bound(term: Term, value: object) -> tuple[Condition, ...]:
    if term.column.nullable or value is None:
        return ()
    return (Test(term.column, Operator.AT_MOST if term.is_descending else Operator.AT_LEAST, value),)
