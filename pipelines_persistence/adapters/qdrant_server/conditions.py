"""Our filters to the server's."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from pipelines_persistence.adapters.qdrant.names import field_path
from pipelines_persistence.adapters.qdrant.validation import checked_ids
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
    lowered,
)

if TYPE_CHECKING:
    from qdrant_client import grpc as wire


def wire_filter(where: Where) -> "wire.Filter | None":
    """Translate a filter; None where it means every point.

    Raises:
        ConfigurationError: see `filters.lowered`; or a key is none.
        StoreError: an id is none.
    """
    filter_ = lowered(where)
    return None if filter_ == Filter() else _filter(filter_)


def ids_filter(ids: Iterable[str]) -> "wire.Filter":
    """Return the filter that a point with one of these ids matches."""
    return _filter(Filter(must=(HasId(tuple(ids)),)))


def _filter(filter_: Filter) -> "wire.Filter":
    from qdrant_client import grpc as wire

    return wire.Filter(
        must=[_condition(condition) for condition in filter_.must],
        should=[_condition(condition) for condition in filter_.should],
        must_not=[_condition(condition) for condition in filter_.must_not],
    )


def _condition(condition: Condition) -> "wire.Condition":
    from qdrant_client import grpc as wire

    match condition:
        case Filter():
            return wire.Condition(filter=_filter(condition))
        case Nested(key, filter_):
            return wire.Condition(nested=wire.NestedCondition(key=field_path(key), filter=_filter(filter_)))
        case HasId(ids):
            return wire.Condition(has_id=wire.HasIdCondition(has_id=point_ids(checked_ids(ids))))
        case IsNull(key):
            return wire.Condition(is_null=wire.IsNullCondition(key=field_path(key)))
        case IsEmpty(key):
            return wire.Condition(is_empty=wire.IsEmptyCondition(key=field_path(key)))
        case _:
            return wire.Condition(field=_field(condition))


def _field(
    condition: Match | MatchAny | MatchExcept | MatchText | Range | DatetimeRange,
) -> "wire.FieldCondition":
    from qdrant_client import grpc as wire

    path = field_path(condition.key)
    match condition:
        case Range(_, gt, gte, lt, lte):
            return wire.FieldCondition(key=path, range=wire.Range(gt=gt, gte=gte, lt=lt, lte=lte))
        case DatetimeRange():
            return wire.FieldCondition(key=path, datetime_range=_moments(condition))
        case _:
            return wire.FieldCondition(key=path, match=_match(condition))


def _match(condition: Match | MatchAny | MatchExcept | MatchText) -> "wire.Match":  # noqa: PLR0911 - one for each word
    from qdrant_client import grpc as wire

    match condition:
        case Match(_, bool() as truth):
            return wire.Match(boolean=truth)
        case Match(_, str() as word):
            return wire.Match(keyword=word)
        case Match(_, number):
            return wire.Match(integer=number)  # type: ignore[arg-type]  # a lowered one has no float
        case MatchAny(_, values):
            return wire.Match(keywords=_strings(values))
        case MatchExcept(_, values) if any(isinstance(value, str) for value in values):
            return wire.Match(except_keywords=_strings(values))
        case MatchExcept(_, values):
            return wire.Match(except_integers=wire.RepeatedIntegers(integers=values))  # type: ignore[arg-type]  # see above
        case MatchText(_, text):
            return wire.Match(text=text)
        case _:
            assert_never(condition)


def _strings(values: Iterable[object]) -> "wire.RepeatedStrings":
    from qdrant_client import grpc as wire

    return wire.RepeatedStrings(strings=[str(value) for value in values])


def _moments(condition: DatetimeRange) -> "wire.DatetimeRange":
    from qdrant_client import grpc as wire

    bounds = wire.DatetimeRange()
    for word in ("gt", "gte", "lt", "lte"):
        moment: datetime | None = getattr(condition, word)
        if moment is not None:
            getattr(bounds, word).FromDatetime(moment)
    return bounds


def point_ids(ids: Iterable[str]) -> "list[wire.PointId]":
    """Translate ids that were checked."""
    from qdrant_client import grpc as wire

    return [wire.PointId(uuid=identifier) for identifier in ids]
