"""Filters as JSON, in the syntax of Qdrant's REST interface."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeAlias, TypeVar
from uuid import UUID

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.filters.conditions import (
    MAX_DEPTH,
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
    require_depth,
    too_deep,
)
from pipelines_persistence.records import Scalar, field_path

_CLAUSES = ("must", "should", "must_not")
_TESTS = ("match", "range", "is_null", "is_empty")
_MATCHES = ("value", "any", "except", "text")
_BOUNDS = ("gt", "gte", "lt", "lte")
_SHOWN = 60
_LEVELS = 4 * MAX_DEPTH + 4
"""Of JSON: a nested filter is four of them, and the deepest condition as many."""

Value: TypeAlias = Any
"""A decoded JSON value of which nothing is known yet."""

Item = TypeVar("Item")


def parse_filter(value: Value) -> Filter:
    """Return the filter that a decoded JSON value means, such as `{"must": [{"key": "page", "range": {"gte": 3}}]}`.

    Raises:
        ConfigurationError: it is none; names the place, such as `must[0].range`. Or it nests deeper than `MAX_DEPTH`.
    """
    _require_shallow(value)
    filter_ = _filter(value, "")
    require_depth(filter_)
    return filter_


def _require_shallow(value: Value) -> None:
    """Refuse what could not be walked over, nor shown in a message: level by level, for the same reason."""
    level = [value]
    for _ in range(_LEVELS):
        level = [inner for outer in level for inner in _within(outer)]
    if level:
        raise too_deep()


def _within(value: Value) -> Iterable[Value]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _filter(value: Value, place: str) -> Filter:
    mapping = _mapping(value, place, _CLAUSES)
    return Filter(
        **{
            clause: tuple(_conditions(mapping[clause], _join(place, clause)))
            for clause in _CLAUSES
            if clause in mapping
        }
    )


def _conditions(value: Value, place: str) -> list[Condition]:
    if isinstance(value, Mapping):
        return [_condition(value, place)]
    return _each(value, place, "conditions", _condition)


def _condition(value: Value, place: str) -> Condition:
    mapping = _mapping(value, place, ("key", *_TESTS, "has_id", "nested", *_CLAUSES))
    if "key" in mapping:
        return _field(mapping, place)
    if not mapping or mapping.keys() & set(_CLAUSES):
        return _filter(mapping, place)
    word = _only(mapping, place, ("is_null", "is_empty", "has_id", "nested"))
    inner, inner_place = mapping[word], _join(place, word)
    if word == "has_id":
        return HasId(tuple(_each(inner, inner_place, "ids", _id)))
    if word == "nested":
        return _nested(_mapping(inner, inner_place, ("key", "filter")), inner_place)
    key = _key(_mapping(inner, inner_place, ("key",)), inner_place)
    return IsNull(key) if word == "is_null" else IsEmpty(key)


def _field(mapping: Mapping[str, Value], place: str) -> Condition:
    key = _key(mapping, place)
    word = _only({name: mapping[name] for name in mapping if name != "key"}, place, _TESTS)
    inner, inner_place = mapping[word], _join(place, word)
    if word == "match":
        return _match(key, inner, inner_place)
    if word == "range":
        return _range(key, inner, inner_place)
    if not isinstance(inner, bool):
        _fail(inner_place, inner, "expected true or false")
    condition = IsNull(key) if word == "is_null" else IsEmpty(key)
    return condition if inner else Filter(must_not=(condition,))


def _match(key: str, value: Value, place: str) -> Condition:
    mapping = _mapping(value, place, _MATCHES)
    word = _only(mapping, place, _MATCHES)
    inner, inner_place = mapping[word], _join(place, word)
    if word == "value":
        return Match(key, _scalar(inner, inner_place))
    if word == "text":
        return MatchText(key, _text(inner, inner_place))
    values = tuple(_each(inner, inner_place, "values", _scalar))
    return MatchAny(key, values) if word == "any" else MatchExcept(key, values)


def _range(key: str, value: Value, place: str) -> Condition:
    mapping = _mapping(value, place, _BOUNDS)
    given = {word: bound for word, bound in mapping.items() if bound is not None}
    try:
        if any(isinstance(bound, str) for bound in given.values()):
            return DatetimeRange(
                key, **{word: _moment(bound, _join(place, word)) for word, bound in given.items()}
            )
        return Range(key, **{word: _number(bound, _join(place, word)) for word, bound in given.items()})
    except ConfigurationError as error:
        text = str(error)
        raise ConfigurationError(text if text.startswith(place) else f"{place}: {text}") from error


def _nested(mapping: Mapping[str, Value], place: str) -> Nested:
    if "filter" not in mapping:
        _fail(place, mapping, "expected a key and a filter")
    key, inner = _key(mapping, place), _filter(mapping["filter"], _join(place, "filter"))
    try:
        return Nested(key, inner)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from error


def _key(mapping: Mapping[str, Value], place: str) -> str:
    if "key" not in mapping:
        _fail(place, mapping, "expected a key")
    key = _text(mapping["key"], _join(place, "key"))
    try:
        field_path(key)
    except ConfigurationError as error:
        raise ConfigurationError(f"{_join(place, 'key')}: {error}") from error
    return key


def _mapping(value: Value, place: str, words: Sequence[str]) -> Mapping[str, Value]:
    if not isinstance(value, Mapping):
        _fail(place, value, f"expected an object with {_one_of(words)}")
    for word in value:
        if word not in words:
            _fail(place, word, f"expected {_one_of(words)}")
    return value


def _only(mapping: Mapping[str, Value], place: str, words: Sequence[str]) -> str:
    if len(mapping) != 1:
        _fail(place, sorted(mapping), f"expected exactly {_one_of(words)}")
    return next(iter(mapping))


def _each(value: Value, place: str, what: str, parse: Callable[[Value, str], Item]) -> list[Item]:
    if not isinstance(value, list | tuple):
        _fail(place, value, f"expected a list of {what}")
    return [parse(item, f"{place}[{position}]") for position, item in enumerate(value)]


def _scalar(value: Value, place: str) -> Scalar:
    if not isinstance(value, str | int | float):
        _fail(place, value, "expected a text, a number, true or false")
    return value


def _text(value: Value, place: str) -> str:
    if not isinstance(value, str):
        _fail(place, value, "expected a text")
    return value


def _id(value: Value, place: str) -> str:
    try:
        return str(UUID(_text(value, place)))
    except ValueError:
        _fail(place, value, "expected a UUID")


def _number(value: Value, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _fail(place, value, "expected a number, or a moment in all bounds")
    return value


def _moment(value: Value, place: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value, place))
    except ValueError:
        _fail(
            place, value, "expected a moment such as 2026-01-31T12:00:00+01:00, or a date such as 2026-01-31"
        )
    # Qdrant's rule, for stored values as for bounds.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _join(place: str, word: str) -> str:
    return f"{place}.{word}" if place else word


def _one_of(words: Sequence[str]) -> str:
    return f"one of {', '.join(words)}" if len(words) > 1 else words[0]


def _fail(place: str, found: object, expected: str) -> NoReturn:
    shown = repr(found)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    raise ConfigurationError(f"{place or 'filter'}: {shown} does not belong here; {expected}")
