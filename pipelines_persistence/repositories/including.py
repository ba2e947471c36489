"""Related rows, read with a page: one query for each relation, however many rows the page has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.repositories.conditions import Condition, Every, Operator, Some, Test
from pipelines_persistence.repositories.tables import Kind, Table, column_named, columns_of

S = TypeVar("S", bound=msgspec.Struct)

LARGEST = 5_000
"""Rows of a page that includes others: their links are parameters of one query."""

LONGEST = 1_000_000
"""Rows of a page without others, and of a relation for each row."""

_LINKS = (Kind.TEXT, Kind.INTEGER, Kind.BOOLEAN, Kind.MOMENT)


@dataclass(frozen=True)  # without slots, which a frozen generic class cannot be called with: Relation[T](...)
class Relation(Generic[S]):
    """Rows of another table that belong to a row.

    Attributes:
        name: what it is called.
        table: where they are.
        by: a field of the row, and the one of theirs that has the same value; more where one is not enough.
        source: the read model that the table is of; "" for the same one.
        order: see `ordering.terms`; by default their table's own.
        most: for each row, the first ones in that order.
    """

    name: str
    table: Table[S]
    by: Mapping[str, str]
    source: str = ""
    order: Sequence[str] = ()
    most: int = 100


def check_page(table: Table[Any], limit: int, include: Sequence[Relation[Any]]) -> None:
    """Refuse a page that cannot be read.

    Raises:
        ConfigurationError: it has no rows, or too many to include others for, or a relation does not hold.
    """
    if not 1 <= limit <= (LARGEST if include else LONGEST):
        raise ConfigurationError(
            f"a page of {limit} rows: ask for one at least and {LONGEST} at most, {LARGEST} with others"
        )
    for relation in include:
        _check(relation, table)


def _check(relation: Relation[Any], table: Table[Any]) -> None:
    if not relation.by or not 1 <= relation.most <= LONGEST:
        raise ConfigurationError(
            f"the relation {relation.name!r} needs fields to link by, and rows to include"
        )
    ours, theirs = columns_of(table.row), columns_of(relation.table.row)
    for mine, other in relation.by.items():
        kinds = {column_named(ours, mine).kind, column_named(theirs, other).kind}
        if len(kinds) > 1 or not kinds <= set(_LINKS):
            raise ConfigurationError(
                f"the relation {relation.name!r} links {mine!r} with {other!r}, which are {' and '.join(sorted(kinds))}: "
                "link texts, integers, truths or moments with their like"
            )


def link_of(fields: Iterable[str], row: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a row of any table
    """Return the values by which a row is linked."""
    return tuple(getattr(row, name) for name in fields)


def linked(relation: Relation[Any], rows: Sequence[Any]) -> Condition:
    """Return what holds for the rows that belong to any of these."""
    columns = columns_of(relation.table.row)
    theirs = [columns[name] for name in relation.by.values()]
    links = dict.fromkeys(link for row in rows if None not in (link := link_of(relation.by, row)))
    if len(theirs) == 1:
        return Test(theirs[0], Operator.ONE_OF, tuple(link[0] for link in links))
    return Some(
        tuple(
            Every(
                tuple(Test(column, Operator.EQUAL, value) for column, value in zip(theirs, link, strict=True))
            )
            for link in links
        )
    )


def grouped(relation: Relation[S], found: Iterable[S]) -> dict[tuple[Any, ...], list[S]]:
    """Return related rows by the values that link them, in their order, no more of each than the relation says."""
    groups: dict[tuple[Any, ...], list[S]] = {}
    for row in found:
        group = groups.setdefault(link_of(relation.by.values(), row), [])
        if len(group) < relation.most:
            group.append(row)
    return groups
