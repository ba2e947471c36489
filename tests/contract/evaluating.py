"""The filter language in plain Python: what every store's answers are compared with."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pipelines_persistence.filters import (
    Condition,
    DatetimeRange,
    Filter,
    HasId,
    IsEmpty,
    IsNull,
    Match,
    MatchAny,
    MatchExcept,
    MatchText,
    Nested,
    Range,
    Where,
    as_filter,
)


def matches(where: Where, payload: Mapping, point_id: str = "") -> bool:
    """Whether a point belongs to what a filter is about."""
    filter_ = as_filter(where)

    def holds(condition: Condition) -> bool:
        return _holds(condition, payload, point_id)

    return (
        all(map(holds, filter_.must))
        and (not filter_.should or any(map(holds, filter_.should)))
        and not any(map(holds, filter_.must_not))
    )


def _holds(condition: Condition, payload: Mapping, point_id: str) -> bool:
    if isinstance(condition, Filter):
        return matches(condition, payload, point_id)
    if isinstance(condition, HasId):
        return point_id in condition.ids
    fields = list(_fields(payload, condition.key.split(".")))
    if isinstance(condition, Nested):
        elements = [element for field in fields if isinstance(field, list) for element in field]
        return any(isinstance(item, dict) and matches(condition.filter, item) for item in elements)
    if isinstance(condition, IsNull):
        return any(field is None or (isinstance(field, list) and None in field) for field in fields)
    if isinstance(condition, IsEmpty):
        return all(field is None or field == [] for field in fields)
    return any(_accepts(condition, value) for field in fields for value in _values(field))


def _fields(value: object, path: list[str]) -> Iterator[object]:
    if not path:
        yield value
        return
    name, *brackets = re.findall(r"[^\[\]]+|\[\d*\]", path[0])
    if not isinstance(value, dict) or name not in value:
        return
    found = [value[name]]
    for bracket in brackets:
        chosen = slice(None) if bracket == "[]" else slice(int(bracket[1:-1]), int(bracket[1:-1]) + 1)
        found = [element for inner in found if isinstance(inner, list) for element in inner[chosen]]
    for element in found:
        yield from _fields(element, path[1:])


def _values(field: object) -> list[object]:
    return field if isinstance(field, list) else [field]


def _accepts(condition: Condition, value: object) -> bool:
    match condition:
        case Match(_, wanted):
            return _equal(value, wanted)
        case MatchAny(_, wanted):
            return any(_equal(value, one) for one in wanted)
        case MatchExcept(_, unwanted):
            return value is not None and not any(_equal(value, one) for one in unwanted)
        case MatchText(_, text):
            return isinstance(value, str) and bool(_words(text)) and _words(text) <= _words(value)
        case Range():
            return _is_number(value) and _within(condition, value)
        case DatetimeRange():
            return isinstance(value, str) and _is_moment(value) and _within(condition, _moment(value))
    raise AssertionError(condition)


def _equal(one: object, other: object) -> bool:
    if _is_number(one) and _is_number(other):
        return one == other
    return type(one) is type(other) and one == other


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_moment(text: str) -> bool:
    return re.match(r"\d{4}-\d\d-\d\d(T|$)", text) is not None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _within(bounds: Range | DatetimeRange, value: object) -> bool:
    return (
        (bounds.gt is None or value > bounds.gt)
        and (bounds.gte is None or value >= bounds.gte)
        and (bounds.lt is None or value < bounds.lt)
        and (bounds.lte is None or value <= bounds.lte)
    )
