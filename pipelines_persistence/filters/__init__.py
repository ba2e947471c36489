"""The filter language: which points a search, a count or a walk is about. One language for every vector store.

A key names a payload field. A dot descends into a mapping, `[]` into each element of a list (`offers[].price`), and `[0]` into
one. Where the field is a list, its elements are its values, and one of them has to match. Numbers compare as numbers (1 equals 1.0) and
are never truths; whole numbers of up to 64 bits are matched exactly, bounds of ranges are 64-bit floats.

A moment or a date that is written without a zone is meant in UTC, in a document as in the JSON of a filter. Filters nest up to
`MAX_DEPTH` levels.

A payload index sees only values of its own type: give one only to fields that hold nothing else. One of numbers also answers
a range of moments, and one of moments a range of numbers, taking the one for the other: do not ask.

An adapter translates `lowered(where)` word by word; that is how the words mean the same in every store.

The words are Qdrant's own: https://qdrant.tech/documentation/concepts/filtering/
"""

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
    Where,
    as_filter,
    both,
    too_deep,
)
from pipelines_persistence.filters.lowering import lowered
from pipelines_persistence.filters.syntax import parse_filter

__all__ = [
    "MAX_DEPTH",
    "Condition",
    "DatetimeRange",
    "Filter",
    "HasId",
    "IsEmpty",
    "IsNull",
    "Match",
    "MatchAny",
    "MatchExcept",
    "MatchText",
    "Nested",
    "Range",
    "Where",
    "as_filter",
    "both",
    "lowered",
    "parse_filter",
    "too_deep",
]
