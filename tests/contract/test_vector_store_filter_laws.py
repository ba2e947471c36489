"""For any payloads and any filter, every `VectorStore` and plain Python agree on the points that match."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines_persistence.filters import (
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
)
from tests.contract.evaluating import matches
from tests.contract.points import SPEC, batch, identifier, numbers

LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

WHOLE = st.integers(-3, 3)
NUMBER = WHOLE | st.sampled_from([-0.5, 0.1, 0.3, 1.0, 1.5, 2.0, 2.2250738585072014e-308, 1e300])
BIG = st.sampled_from([2**51, 2**53, 2**53 + 1, 2**62 + 1, 2**63 - 1, -(2**63)])
WORD = st.sampled_from(
    ["", "red", "blue", "1", "true", "rød", "Red blue", "2024-05-01T10:00:00Z", "2024-01-02"]
)
MIDNIGHTS = [datetime.fromisoformat(f"2024-01-0{day}") for day in (1, 2)]
MOMENT = st.datetimes(*MIDNIGHTS, timezones=st.sampled_from([UTC, timezone(timedelta(hours=5))])).map(
    lambda moment: moment.replace(minute=0, second=0)
)
WRITTEN = MOMENT.map(datetime.isoformat) | st.sampled_from(
    ["2024-01-01", "2024-01-02", "2024-01-01T07:00:00", "2024-01-01T07:00:00.5"]
)
SCALAR = NUMBER | BIG | WORD | st.booleans()
IDS = st.lists(st.integers(0, 5).map(identifier), max_size=3).map(tuple)


def field(kind):
    """A value of a kind, or a list of them with a null among them, or next to nothing."""
    return kind | st.lists(kind | st.none(), max_size=3) | st.none()


def odd(kind):
    """As `field`, and what no index sees."""
    return field(kind) | st.lists(st.lists(kind, max_size=2), max_size=2) | st.just({})


def bounds(kind, moment):
    return st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), kind, min_size=1, max_size=2).map(
        lambda given: moment(**given)
    )


def conditions(keys):
    values = st.lists(SCALAR, max_size=3).map(tuple)
    return (
        st.builds(Match, keys, SCALAR)
        | st.builds(MatchAny, keys, values)
        | st.builds(MatchExcept, keys, values)
        | st.builds(IsNull, keys)
        | st.builds(IsEmpty, keys)
    )


def ranges_of_numbers(keys):
    return keys.flatmap(lambda key: bounds(NUMBER, lambda **given: Range(key, **given)))


def ranges_of_moments(keys):
    return keys.flatmap(lambda key: bounds(MOMENT, lambda **given: DatetimeRange(key, **given)))


def all_conditions(keys):
    return conditions(keys) | ranges_of_numbers(keys) | ranges_of_moments(keys)


def filters(leaves):
    some = st.lists(leaves, max_size=2).map(tuple)
    return st.builds(Filter, some, some, some)


def anything():
    kinds = odd(NUMBER) | odd(WORD) | odd(st.booleans()) | odd(WRITTEN) | BIG
    inner = st.fixed_dictionaries({}, optional={"a": kinds, "b": kinds})
    outer = {"a": kinds, "b": kinds, "c": inner, "d": st.lists(inner | NUMBER | st.none(), max_size=3)}
    return st.fixed_dictionaries({}, optional=outer)


def any_filter():
    nested = st.builds(Nested, st.just("d"), filters(all_conditions(st.sampled_from(["a", "b"]))))
    leaves = (
        all_conditions(
            st.sampled_from(["a", "b", "a[0]", "a[1]", "c.a", "c.b[0]", "d[].a", "d[0].a", "none"])
        )
        | nested
        | st.builds(HasId, IDS)
    )
    return filters(leaves | filters(leaves))


KINDS = {
    "word": ("keyword", WORD),
    "whole": ("integer", WHOLE | BIG),
    "number": ("float", NUMBER.map(float)),
    "truth": ("bool", st.booleans()),
    "moment": ("datetime", WRITTEN),
    "owner": ("uuid", st.integers(0, 3).map(identifier)),
    "said": ("text", st.sampled_from(["red", "blue red", "Green", ""])),
}


def typed():
    return st.fixed_dictionaries({}, optional={name: field(kind) for name, (_, kind) in KINDS.items()})


def typed_filter():
    said = st.builds(MatchText, st.just("said"), st.sampled_from(["red", "RED blue", "green", "re", "..."]))
    numeric = ranges_of_numbers(st.sampled_from([name for name in KINDS if name != "moment"]))
    moments = ranges_of_moments(st.sampled_from([name for name in KINDS if name not in {"whole", "number"}]))
    leaves = conditions(st.sampled_from([*KINDS])) | numeric | moments | said | st.builds(HasId, IDS)
    return filters(leaves | filters(leaves))


def assert_agreement(store, spec, payloads, asked):
    store.create("docs", spec)
    points = batch(range(len(payloads)), lambda number: payloads[number])
    with store.session("docs"):
        store.delete("docs", [identifier(number) for number in range(6)])
        store.upsert("docs", points)
        for where in asked:
            expected = [
                number
                for number, payload in enumerate(payloads)
                if matches(where, payload, identifier(number))
            ]
            assert numbers(store.scroll("docs", where=where)) == expected, where
            assert store.count("docs", where) == len(expected)


@LAW
@given(
    payloads=st.lists(anything(), min_size=1, max_size=6),
    asked=st.lists(any_filter(), min_size=1, max_size=5),
)
def test_any_filter_over_any_payloads(store, payloads, asked):
    assert_agreement(store, replace(SPEC, payload_indexes={}), payloads, asked)


@LAW
@given(
    payloads=st.lists(typed(), min_size=1, max_size=6), asked=st.lists(typed_filter(), min_size=1, max_size=5)
)
def test_any_filter_over_indexed_fields(store, payloads, asked):
    indexes = {name: kind for name, (kind, _) in KINDS.items()}
    assert_agreement(store, replace(SPEC, payload_indexes=indexes), payloads, asked)
