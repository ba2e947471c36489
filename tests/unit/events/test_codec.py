"""JSON that loses nothing."""

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events import Moment, NewEvent, check, decode, encode

MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - naive on purpose

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)
lossy = st.sampled_from(
    [math.nan, math.inf, -math.inf, NAIVE, *map(Decimal, ("NaN", "-sNaN", "NaN7", "Infinity", "-Infinity"))]
)
with_lossy = st.recursive(
    lossy,
    lambda inner: (
        st.tuples(values, inner) | st.lists(inner, min_size=1) | st.dictionaries(text, inner, min_size=1)
    ),
    max_leaves=3,
)


@given(values)
def test_plain_values_come_back_as_they_were(value):
    assert decode(encode(value)) == value
    assert json.loads(encode(value)) == value


@given(with_lossy)
def test_what_json_would_lose_is_refused_however_deep_it_is(value):
    with pytest.raises(EventRefused):
        encode(value)


@pytest.mark.parametrize("key", [math.nan, NAIVE, Decimal("NaN")])
def test_what_json_would_lose_is_refused_as_a_key(key):
    with pytest.raises(EventRefused):
        encode({"a": {key: 1}})


def test_texts_and_nulls_that_look_like_a_lost_value_are_taken():
    value = {"a": None, "b": "null", "c": "NaN", "d": "2026-01-01T12:00:00", "e": date(2026, 1, 1)}
    assert decode(encode(value)) == {**value, "e": "2026-01-01"}


def test_a_refusal_says_where():
    with pytest.raises(EventRefused, match=r"\$\.rows\.1\.price is nan"):
        encode({"rows": [{"price": 1.0}, {"price": math.nan}]})


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_are_strings_and_exact(number):
    assert isinstance(decode(encode([number]))[0], str)
    [again] = decode(encode([number]), list[Decimal])
    assert again.as_tuple() == number.as_tuple()


class Paid(msgspec.Struct, frozen=True):
    amount: Decimal
    at: Moment


def test_structs_are_written_and_read_typed():
    paid = Paid(Decimal("1.10"), MOMENT)
    assert encode(paid) == b'{"amount":"1.10","at":"2026-01-01T12:00:00Z"}'
    assert decode(encode(paid), Paid) == paid
    with pytest.raises(EventRefused):
        encode(Paid(Decimal("NaN"), MOMENT))
    with pytest.raises(EventRefused):
        encode(Paid(Decimal(1), NAIVE))


def test_a_naive_moment_is_refused_when_it_is_read():
    with pytest.raises(EventRefused):
        decode(b'{"amount":"1","at":"2026-01-01T12:00:00"}', Paid)


@pytest.mark.parametrize(
    "data",
    [
        b"NaN",
        b"-Infinity",
        b"1e999",
        b'"\\ud800"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"{} ",
        b"",
        b"[1,]",
        b"[" * 9999,
    ],
)
def test_bytes_that_are_no_json_are_refused(data):
    if data == b"{} ":
        return check(data)  # space around is JSON
    with pytest.raises(EventRefused):
        check(data)
    with pytest.raises(EventRefused):
        NewEvent("A", data)
    return None


def test_what_json_cannot_say_is_refused():
    for value in (object(), {"a": {1j}}, "\ud800"):
        with pytest.raises(EventRefused):
            encode(value)
