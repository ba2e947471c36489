"""A filter in the words that an engine takes literally, so that each store gives the words the same meaning.

Qdrant tells 1 from 1.0 where it matches and not where it compares, matches no float at all, and reads floats back from its
storage with an error of up to one unit in the last place. So a number becomes a range, and ranges mind that error.
"""

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import replace

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.filters.conditions import (
    Condition,
    Filter,
    Match,
    MatchAny,
    MatchExcept,
    MatchText,
    Nested,
    Range,
    Where,
    as_filter,
    require_depth,
)
from pipelines_persistence.records import Scalar

EXACT_INTEGERS = 2**51
"""Below, a float and the two next to it still tell neighbouring integers apart."""

_WHOLE_FLOATS = 2**53


def lowered(where: Where) -> Filter:
    """Return a filter of the same meaning, for a translation word by word.

    In it `Match` has a text, a truth or a whole number; `MatchAny` texts; `MatchExcept` texts or whole numbers, at least
    one; and the bounds of `Range` are to be taken as they are.

    Raises:
        ConfigurationError: a number is not finite, or a whole one does not fit 64 bits; a text is no Unicode; or the filter
            nests too deep.
    """
    filter_ = as_filter(where)
    require_depth(filter_)
    return _literal(filter_)


def _literal(filter_: Filter) -> Filter:
    return Filter(
        must=tuple(map(_lowered, filter_.must)),
        should=tuple(map(_lowered, filter_.should)),
        must_not=tuple(map(_lowered, filter_.must_not)),
    )


def _lowered(condition: Condition) -> Condition:
    _require_whole_signs(condition)
    match condition:
        case Filter():
            condition = _literal(condition)
        case Nested(key, filter_):
            condition = Nested(key, _literal(filter_))
        case Match(key, value):
            condition = _match(key, value)
        case MatchAny():
            condition = _match_any(condition)
        case MatchExcept():
            condition = _match_except(condition)
        case Range():
            condition = _range(condition)
    return condition


def _require_whole_signs(condition: Condition) -> None:
    r"""Refuse half a sign, which JSON can write as \ud800 and no store can hold."""
    values: tuple[Scalar, ...] = ()
    match condition:
        case Match(_, value) | MatchText(_, value):
            values = (value,)
        case MatchAny(_, values) | MatchExcept(_, values):
            pass
    for value in values:
        if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise ConfigurationError(f"filter: {value!r} has half a sign in it; give a text of whole ones")


def _match(key: str, value: Scalar) -> Match | Range:
    if isinstance(value, bool | str):
        return Match(key, value)
    if not math.isfinite(value) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        raise ConfigurationError(
            f"filter on {key!r}: {value} is no number of 64 bits; put quotes around a text"
        )
    if isinstance(value, int) and abs(value) >= EXACT_INTEGERS:
        return Match(key, value)
    return Range(key, gte=_below(value), lte=_above(value))


def _match_any(condition: MatchAny) -> Condition:
    texts = tuple(value for value in condition.values if isinstance(value, str))
    others = tuple(_match(condition.key, value) for value in condition.values if not isinstance(value, str))
    if not others:
        return replace(condition, values=texts)
    return Filter(should=(MatchAny(condition.key, texts), *others) if texts else others)


def _match_except(condition: MatchExcept) -> Condition:
    """A word for each type of value: other numbers, other truths, and whatever else there is."""
    key, values = condition.key, condition.values
    texts = tuple(value for value in values if isinstance(value, str))
    if texts and len(texts) == len(values):
        return condition
    excluded = [_match(key, value) for value in values if not isinstance(value, str)]
    numbers = [value for value in values if not isinstance(value, bool | str)]
    whole = tuple(value for value in numbers if isinstance(value, int))
    truths = [Match(key, truth) for truth in (True, False) if not any(value is truth for value in values)]
    # An engine's own "except" needs a value; zero does no harm, for what it hides is in the gaps.
    rest = Filter(must=(MatchExcept(key, texts or whole or (0,)),), must_not=tuple(excluded))
    return Filter(should=(*_gaps(key, numbers), *truths, rest))


def _gaps(key: str, numbers: Sequence[float]) -> list[Range]:
    """The ranges between numbers."""
    ends = sorted(set(numbers))
    if not ends:
        return [Range(key, gte=-sys.float_info.max)]
    between = [Range(key, gt=_above(low), lt=_below(high)) for low, high in itertools.pairwise(ends)]
    return [Range(key, lt=_below(ends[0])), *between, Range(key, gt=_above(ends[-1]))]


def _range(condition: Range) -> Range:
    """A bound that belongs to the range lets in what was misread by a hair, and one that does not keeps it out."""
    return Range(
        condition.key,
        gt=None if condition.gt is None else _above(condition.gt),
        gte=None if condition.gte is None else _below(condition.gte),
        lt=None if condition.lt is None else _below(condition.lt),
        lte=None if condition.lte is None else _above(condition.lte),
    )


def _below(value: float) -> float:
    return float(value) if _is_read_exactly(value) else math.nextafter(value, -math.inf)


def _above(value: float) -> float:
    return float(value) if _is_read_exactly(value) else math.nextafter(value, math.inf)


def _is_read_exactly(value: float) -> bool:
    return abs(value) < _WHOLE_FLOATS and value == int(value)
