"""The words of the filter language."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.records import Scalar

MAX_DEPTH = 24
"""Filters within filters that every store answers: a server refuses messages that nest deeper than 100, and a nested filter
is three of them."""

_ADDED_DEPTH = 2
"""What `lowered` adds at most."""


@dataclass(frozen=True, slots=True)
class Match:
    """The field has this value."""

    key: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class MatchAny:
    """The field has one of these values; none matches nothing."""

    key: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class MatchExcept:
    """The field has a value other than these, and than null.

    Beside an excluded number or truth, a list that holds values of other types, too, does not match by those.
    """

    key: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class MatchText:
    """The field holds all words of a text, in any order and case.

    Give it a text index: without one, some stores look for the text as it stands.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Range:
    """The field is a number within all bounds that are given.

    Raises:
        ConfigurationError: no bound is given.
    """

    key: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def __post_init__(self) -> None:
        """Refuse what would match every number, or none, by mistake."""
        _require_bound(self)
        for bound in (self.gt, self.gte, self.lt, self.lte):
            if bound is not None and not -sys.float_info.max <= bound <= sys.float_info.max:
                raise ConfigurationError(f"filter on {self.key!r}: {bound} is no bound; give a finite number")


@dataclass(frozen=True, slots=True)
class DatetimeRange:
    """The field is a moment (RFC 3339 text) within all bounds that are given, whatever zone it is written in.

    Raises:
        ConfigurationError: no bound is given, or one has no zone, or lies outside the years 1 to 9999 in UTC.
    """

    key: str
    gt: datetime | None = None
    gte: datetime | None = None
    lt: datetime | None = None
    lte: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse bounds that mean another moment on another machine."""
        _require_bound(self)
        for bound in (self.gt, self.gte, self.lt, self.lte):
            if bound is not None:
                _require_moment(self.key, bound)


@dataclass(frozen=True, slots=True)
class IsNull:
    """The field is there and null, or a list with a null in it."""

    key: str


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """The field is absent, null or an empty list."""

    key: str


@dataclass(frozen=True, slots=True)
class HasId:
    """The point has one of these ids (UUIDs in canonical form); none matches nothing."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nested:
    """One and the same element of a list of mappings matches all of a filter, whose keys start in the element.

    Raises:
        ConfigurationError: the filter asks for an id, which an element has not.
    """

    key: str
    filter: "Filter"

    def __post_init__(self) -> None:
        """Refuse what stores answer differently."""
        if _asks_for_id(self.filter):
            raise ConfigurationError(
                f"filter on {self.key!r}: has_id within nested is about no element; put it beside the nested filter"
            )


@dataclass(frozen=True, slots=True)
class Filter:
    """All of `must`, one of `should` where there is any, and none of `must_not`. An empty one matches every point.

    Attributes:
        depth: filters within each other, this one included.

    Raises:
        ConfigurationError: they nest so deep that no store would answer.
    """

    must: "tuple[Condition, ...]" = ()
    should: "tuple[Condition, ...]" = ()
    must_not: "tuple[Condition, ...]" = ()
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Count the levels, so that whoever walks over a filter comes to an end of it."""
        inner = max(map(_depth, (*self.must, *self.should, *self.must_not)), default=0)
        object.__setattr__(self, "depth", 1 + inner)
        require_depth(self, MAX_DEPTH + _ADDED_DEPTH)

    def renamed(self, rename: "Callable[[str], str]") -> "Filter":
        """Return the same filter with other keys; those within `Nested` are relative and stay."""
        parts = {
            name: tuple(_renamed(condition, rename) for condition in getattr(self, name))
            for name in ("must", "should", "must_not")
        }
        return Filter(**parts)


Condition: TypeAlias = (
    Match
    | MatchAny
    | MatchExcept
    | MatchText
    | Range
    | DatetimeRange
    | IsNull
    | IsEmpty
    | HasId
    | Nested
    | Filter
)
Where: TypeAlias = Filter | Mapping[str, Scalar] | None
"""A filter, or for short the values that all have to be there."""


def as_filter(where: Where) -> Filter:
    """Return what a `where` means."""
    if isinstance(where, Filter):
        return where
    return Filter(must=tuple(Match(key, value) for key, value in (where or {}).items()))


def both(one: Where, other: Where) -> Filter:
    """Return the filter that asks for all that the two ask for."""
    filters = [as_filter(where) for where in (one, other)]
    given = [part for part in filters if part != Filter()]
    return given[0] if len(given) == 1 else Filter(must=tuple(given))


def require_depth(filter_: Filter, most: int = MAX_DEPTH) -> None:
    """Refuse a filter that no store answers.

    Raises:
        ConfigurationError: it nests too deep.
    """
    if filter_.depth > most:
        raise too_deep()


def too_deep() -> ConfigurationError:
    """Say how deep filters may nest."""
    return ConfigurationError(
        f"the filter nests deeper than {MAX_DEPTH} levels: write it with fewer filters within filters"
    )


def _depth(condition: "Condition") -> int:
    if isinstance(condition, Nested):
        return condition.filter.depth
    return condition.depth if isinstance(condition, Filter) else 0


def _renamed(condition: "Condition", rename: Callable[[str], str]) -> "Condition":
    if isinstance(condition, Filter):
        return condition.renamed(rename)
    return condition if isinstance(condition, HasId) else replace(condition, key=rename(condition.key))


def _require_bound(condition: Range | DatetimeRange) -> None:
    if condition.gt is condition.gte is condition.lt is condition.lte is None:
        raise ConfigurationError(f"filter on {condition.key!r}: a range needs a bound: gt, gte, lt or lte")


def _require_moment(key: str, bound: datetime) -> None:
    if bound.utcoffset() is None:
        raise ConfigurationError(
            f"filter on {key!r}: {bound.isoformat()} has no zone; give one, such as "
            "datetime(2026, 1, 31, 12, tzinfo=UTC)"
        )
    try:
        bound.astimezone(UTC)
    except OverflowError as error:
        raise ConfigurationError(
            f"filter on {key!r}: {bound.isoformat()} is outside the years 1 to 9999 in UTC; give a moment within"
        ) from error


def _asks_for_id(filter_: Filter) -> bool:
    conditions = (*filter_.must, *filter_.should, *filter_.must_not)
    return any(
        isinstance(condition, HasId) or (isinstance(condition, Filter) and _asks_for_id(condition))
        for condition in conditions
    )
