"""Conditions as SQL with parameters, for SQLite and PostgreSQL.

Each test is made to have two values, as it has in Python, so that NOT is the exact complement: a null is never asked what it
is equal to.
"""

import heapq
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from pipelines_persistence.repositories.conditions import (
    Condition,
    Every,
    Operator,
    Opposite,
    Test,
    json_text,
)
from pipelines_persistence.repositories.ordering import Term
from pipelines_persistence.repositories.tables import Column, Kind

Sql: TypeAlias = tuple[str, tuple[Any, ...]]
Encode: TypeAlias = Callable[[Column, Any], Any]
"""From a value of a column to what the driver is given."""

# Only what is an array has items; a null has none, and a single value is not one of its own items.
_SQLITE_ITEMS = "json_each(CASE WHEN json_type({0}) = 'array' THEN {0} ELSE '[]' END) AS item"
_POSTGRES_ITEMS = (
    "json_array_elements(CASE WHEN json_typeof({0}) = 'array' THEN {0} ELSE '[]'::json END) AS item(value)"
)

_FEW = 8
_IN_FRONT, _BEHIND = 1, 3  # words that wait in a parser: "(", and "(", "a", "AND"


class _Written(NamedTuple):
    """SQL, with the words that a parser has to remember at its deepest place."""

    room: int
    text: str
    values: tuple[Any, ...]


class Dialect:
    """Writes conditions for one kind of database."""

    def __init__(self, name: str, encode: Encode) -> None:
        """Take SQLAlchemy's name of the database, and what its driver is given for a value."""
        self.is_postgres = name == "postgresql"
        self.mark = "%s" if self.is_postgres else "?"
        self._encode = encode

    def condition(self, condition: Condition) -> Sql:
        """Return a condition as SQL."""
        written = self._written(condition)
        return written.text, written.values

    def _written(self, condition: Condition) -> "_Written":
        if isinstance(condition, Test):
            return _Written(0, *self._test(condition))
        if isinstance(condition, Opposite):
            part = self._written(condition.part)
            return _Written(part.room + _BEHIND, f"NOT ({part.text})", part.values)
        word, empty = (" AND ", "1 = 1") if isinstance(condition, Every) else (" OR ", "1 = 0")
        return _joined([self._written(part) for part in condition.parts], word) or _Written(0, empty, ())

    @staticmethod
    def order(terms: Sequence[Term]) -> str:
        """Return what follows ORDER BY: nulls last, said only where there may be any, for an index to serve it."""
        return ", ".join(
            f'"{term.column.name}"{" DESC" if term.is_descending else ""}'
            f"{' NULLS LAST' if term.column.nullable else ''}"
            for term in terms
        )

    def _test(self, test: Test) -> Sql:
        name = f'"{test.column.name}"'
        if test.operator is Operator.NULL:
            return f"{name} IS NULL", ()
        if test.operator is Operator.CONTAINS:
            return self._contains(name, test.value)
        values = test.value if test.operator is Operator.ONE_OF else (test.value,)
        if not values:
            return "1 = 0", ()
        known = f"{name} IS NOT NULL AND " if test.column.nullable else ""
        asked = f"{name}::text" if self.is_postgres and test.column.kind is Kind.JSON else name
        marks = f"IN ({', '.join([self.mark] * len(values))})"
        compared = marks if test.operator is Operator.ONE_OF else f"{test.operator} {self.mark}"
        return f"({known}{asked} {compared})", tuple(self._encode(test.column, value) for value in values)

    def _contains(self, name: str, item: object) -> Sql:
        items = (_POSTGRES_ITEMS if self.is_postgres else _SQLITE_ITEMS).format(name)
        text, values = (_postgres_item if self.is_postgres else _sqlite_item)(name, item)
        return f"EXISTS (SELECT 1 FROM {items} WHERE {text})", values  # noqa: S608 - the name was checked


def _sqlite_item(name: str, item: object) -> Sql:
    if item is None or isinstance(item, bool):
        return f"item.type = '{json_text(item)}'", ()
    if isinstance(item, int | float):
        return "item.type IN ('integer', 'real') AND item.value = ?", (item,)
    # SQLite cuts an item's value off at a NUL, but not its JSON.
    whole = rf"(instr({name}, '\u0000') = 0 OR ({name} -> item.fullkey) = ?)"
    return f"item.type = 'text' AND item.value = ? AND {whole}", (item, json_text(item))


def _postgres_item(_name: str, item: object) -> Sql:
    # By the text of the JSON: PostgreSQL knows no text with NUL, and fails at a row that holds one.
    if isinstance(item, int | float) and not isinstance(item, bool):
        number = "item.value::text::numeric = %s::numeric"
        return f"CASE WHEN json_typeof(item.value) = 'number' THEN {number} ELSE false END", (repr(item),)
    return "item.value::text = %s", (json_text(item),)


def _joined(parts: Sequence[_Written], word: str) -> _Written | None:
    """Join a few at a time, those that need least room first, and put what needs most in front.

    A chain of a thousand is a thousand levels deep to SQLite, which takes no more; and its parser has room for a hundred words
    that wait for what follows them: one for each parenthesis, and more where something stands before it.
    """
    waiting = [(part.room, place, part) for place, part in enumerate(parts)]
    heapq.heapify(waiting)
    while len(waiting) > 1:
        few = [heapq.heappop(waiting) for _ in range(min(_FEW, len(waiting)))]
        (_, place, greatest), *others = reversed(few)
        room = max(greatest.room + _IN_FRONT, *(one.room + _BEHIND for _, _, one in others))
        joined = [greatest, *(one for _, _, one in others)]
        text = f"({word.join(one.text for one in joined)})"
        values = tuple(value for one in joined for value in one.values)
        heapq.heappush(waiting, (room, place, _Written(room, text, values)))
    return waiting[0][2] if waiting else None
