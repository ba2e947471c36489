"""Our filters to the engine's."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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
from pipelines_persistence.records import Scalar

if TYPE_CHECKING:
    import qdrant_edge as edge


def engine_filter(where: Where) -> "edge.Filter | None":
    """Translate a filter.

    Raises:
        ConfigurationError: see `filters.lowered`; or a key is none.
        StoreError: an id is none.
    """
    filter_ = lowered(where)
    return None if filter_ == Filter() else _filter(filter_)


def _filter(filter_: Filter) -> "edge.Filter":
    import qdrant_edge as edge

    # Within a nested condition the engine takes an empty list for one that nothing matches.
    return edge.Filter(
        must=[_condition(condition) for condition in filter_.must] or None,
        should=[_condition(condition) for condition in filter_.should] or None,
        must_not=[_condition(condition) for condition in filter_.must_not] or None,
    )


def _condition(condition: Condition) -> "edge.ConditionType":
    import qdrant_edge as edge

    translated: edge.ConditionType
    match condition:
        case Filter():
            translated = _filter(condition)
        case Nested(key, filter_):
            translated = edge.NestedCondition(field_path(key), _filter(filter_))
        case HasId(ids):
            translated = edge.HasIdCondition({*checked_ids(ids)})
        case IsNull(key):
            translated = edge.IsNullCondition(field_path(key))
        case IsEmpty(key):
            translated = edge.IsEmptyCondition(field_path(key))
        case Range() | DatetimeRange():
            translated = edge.FieldCondition(field_path(condition.key), range=_range(condition))
        case _:
            translated = edge.FieldCondition(field_path(condition.key), match=_match(condition))
    return translated


def _match(condition: Match | MatchAny | MatchExcept | MatchText) -> "edge.MatchType":
    import qdrant_edge as edge

    if isinstance(condition, Match):
        return edge.MatchValue(_value(condition.value))
    if isinstance(condition, MatchText):
        return edge.MatchText(condition.text)
    values: Any = [*condition.values]  # of one type, after lowering
    return edge.MatchAny(values) if isinstance(condition, MatchAny) else edge.MatchExcept(values)


def _value(value: Scalar) -> Any:  # noqa: ANN401 - numpy's truth is none of the binding's types
    import numpy as np

    # The binding tries int before bool and makes True a 1, which matches no boolean; numpy's it cannot mistake.
    return np.bool_(value) if isinstance(value, bool) else value


def _range(condition: Range | DatetimeRange) -> "edge.RangeType":
    import qdrant_edge as edge

    if isinstance(condition, Range):
        return edge.RangeFloat(gt=condition.gt, gte=condition.gte, lt=condition.lt, lte=condition.lte)
    return edge.RangeDateTime(
        gt=_text(condition.gt), gte=_text(condition.gte), lt=_text(condition.lt), lte=_text(condition.lte)
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
