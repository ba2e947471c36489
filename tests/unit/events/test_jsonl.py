"""A line of JSONL becomes an event, or a fault that names the field."""

import json
import re
from datetime import UTC, datetime
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.events.faults import Fault
from pipelines_persistence.events.identity import Occurrences
from pipelines_persistence.events.jsonl import LONGEST_LINE, LineParser, to_line

NAMESPACE = UUID("978dffc9-846e-4a37-a3a0-726df9ef5df5")
WHOLE = {"stream_id": "order-1", "event_type": "Placed", "timestamp": "2026-01-01T12:00:00Z", "data": {}}


def line(**changes):
    return json.dumps({**WHOLE, **changes}).encode()


def without(name):
    return json.dumps({key: value for key, value in WHOLE.items() if key != name}).encode()


def event(raw, parser=None):
    stream, event = (parser or LineParser()).parse(raw)
    assert stream == "order-1"
    return event


def fault(raw):
    found = LineParser().parse(raw)
    assert isinstance(found, Fault), found
    return found


# What is kept


def test_the_bytes_of_the_data_are_kept_exactly():
    data = b'{ "price": 1.10,\t"big": 123456789012345678901234567890, "e": 1E2, "a": "\\u00e9\xc3\xa9" }'
    raw = line(data="DATA").replace(b'"DATA"', data)
    assert event(raw).data == data


def test_a_time_is_kept_to_the_microsecond_in_utc():
    given = event(line(timestamp="2026-01-01T12:00:00.123456+05:30"))
    assert given.occurred_at == datetime(2026, 1, 1, 6, 30, 0, 123456, tzinfo=UTC)
    assert given.occurred_at.tzinfo is UTC


def test_optional_fields_are_kept_and_null_means_absent():
    full = {"schema_version": 3, "correlation_id": "run 7", "causation_id": "c", "actor": "Zoë"}
    given = event(line(**full))
    assert {name: getattr(given, name) for name in full} == full
    bare = event(line(**dict.fromkeys([*full, "event_id"])))
    assert (bare.schema_version, bare.correlation_id, bare.actor) == (1, None, None)


@pytest.mark.parametrize("around", [(b"\xef\xbb\xbf", b""), (b"", b"\r\n"), (b"  ", b" \n")])
def test_a_byte_order_mark_and_any_end_of_a_line_are_no_part_of_it(around):
    assert event(around[0] + line() + around[1]) == event(line())


# Identity


def test_an_id_that_is_a_uuid_is_kept_in_canonical_form():
    given = uuid4()
    for text in (str(given), str(given).upper(), given.hex):
        assert event(line(event_id=text)).id == str(given)


def test_any_other_id_becomes_its_uuid5():
    assert event(line(event_id="order/1#7 é")).id == str(uuid5(NAMESPACE, "id\0order/1#7 é"))


def test_a_line_without_id_gets_one_from_what_it_says():
    expected = uuid5(NAMESPACE, 'line\0order-1\0Placed\x002026-01-01T12:00:00Z\0{"a": 1}')
    assert event(line(data={"a": 1})).id == str(expected)
    changed = [
        {"stream_id": "o"},
        {"event_type": "P"},
        {"timestamp": "2026-01-01T12:00:00+00:00"},
        {"data": 1},
    ]
    ids = {LineParser().parse(line(**change))[1].id for change in changed}
    assert len(ids | {str(expected)}) == 5


def test_equal_lines_of_one_file_are_as_many_events_with_the_same_ids_each_time():
    lines = [line(), line(data=1), line(), line(), line(data=1)]
    first, second = LineParser(), LineParser()
    ids = [event(raw, first).id for raw in lines]
    assert len(set(ids)) == 5
    assert [event(raw, second).id for raw in lines[:3]] == ids[:3]


@given(st.lists(st.integers(0, 30), max_size=400))
def test_occurrences_are_counted_as_a_plain_list_would(numbers):
    occurrences = Occurrences()
    for place, number in enumerate(numbers):
        assert occurrences.before(str(number)) == numbers[:place].count(number)


def test_many_texts_are_told_apart():
    occurrences = Occurrences()
    assert not any(occurrences.before(str(number)) for number in range(50_000))
    assert all(occurrences.before(str(number)) == 1 for number in range(0, 50_000, 1000))


# What is refused


@pytest.mark.parametrize("name", ["stream_id", "event_type", "timestamp", "data"])
def test_a_missing_field_is_named(name):
    assert fault(without(name)) == Fault(name, f"the field '{name}' is missing")


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"stream_id": ""}, "stream_id", "0 characters"),
        ({"stream_id": "s" * 501}, "stream_id", "501 characters"),
        ({"stream_id": "a\0"}, "stream_id", "NUL"),
        ({"stream_id": 5}, "stream_id", r"expected text, got a whole number \(5\)"),
        ({"stream_id": None}, "stream_id", "expected text, got null"),
        ({"event_type": "$tombstoned"}, "event_type", "marks the store's own"),
        ({"event_type": ["a"]}, "event_type", "expected text, got a list"),
        ({"timestamp": "2026-01-01T12:00:00"}, "timestamp", "give its zone"),
        ({"timestamp": "2026-01-01"}, "timestamp", "give its zone"),
        ({"timestamp": "yesterday"}, "timestamp", '"yesterday" is no time'),
        ({"timestamp": 1767268800}, "timestamp", "expected text"),
        ({"timestamp": "0001-01-01T00:00:00+01:00"}, "timestamp", "outside the years"),
        ({"event_id": ""}, "event_id", "empty"),
        ({"event_id": 7}, "event_id", "expected text"),
        ({"schema_version": 0}, "schema_version", "counted from 1"),
        ({"schema_version": 2**31}, "schema_version", "counted from 1"),
        ({"schema_version": True}, "schema_version", "whole number"),
        ({"schema_version": 1.5}, "schema_version", "whole number"),
        ({"actor": ""}, "actor", "0 characters"),
        ({"data": {"a": [1, float("nan")]}}, "data", "NaN is no number in JSON"),
        ({"data": float("-inf")}, "data", "-Infinity is no number in JSON"),
        ({"evnt_type": "A"}, "evnt_type", "did you mean 'event_type'"),
        ({"id": "A"}, "id", "did you mean 'event_id'"),
        ({"customer": "A"}, "customer", "put what is your own into 'data'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_what_would_be_right(changes, field, says):
    found = fault(line(**changes))
    assert found.field == field
    assert re.search(says, found.reason), found.reason


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"hello", "no JSON"),
        (line()[:-1], "no JSON"),
        (line() + line(), "no JSON"),
        (b"[]", "expected an object, got a list"),
        (b"7", "expected an object"),
        (line(data="\udcff").replace(b'"\\udcff"', b'"\xff"'), "no UTF-8: byte 0xff at position"),
        (line(data="\ud800"), "half a surrogate pair"),
        (b"[" * 5000, "no JSON"),
        (line(data="x" * LONGEST_LINE), "more than 16,777,216 bytes"),
    ],
    ids=lambda value: str(value[:16]),
)
def test_a_line_that_is_wrong_as_a_whole_says_so(raw, says):
    found = fault(raw)
    assert found.field is None
    assert says in found.reason


@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode) | st.builds(
    lambda name, value: line(**{name: value}),
    st.sampled_from([*WHOLE, "event_id", "schema_version", "actor", "other"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2),
))  # fmt: skip
def test_whatever_comes_is_an_event_that_can_be_stored_or_a_short_fault(raw):
    found = LineParser().parse(raw)
    if isinstance(found, Fault):
        assert 0 < len(found.reason) <= 240
    else:
        MemoryEventStore().import_events([found])


def test_a_fault_never_quotes_a_whole_value():
    secret = "s" * 200
    assert secret not in fault(line(timestamp=secret)).reason
    assert secret not in fault(line(**{secret: 1})).reason
    assert secret not in fault(line(schema_version=secret)).reason


# The way back


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.sampled_from([b"{}", b'{ "a":\r\n 1.10,\n"b": "\\n" }', b"null", b'"\xc3\xa9"']),
    st.datetimes(timezones=st.just(UTC)),
    st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    st.integers(1, 9),
)
def test_an_event_written_as_a_line_is_the_same_event_when_it_is_read(name, data, moment, actor, version):
    new = NewEvent(
        f"T{name}", data, schema_version=version, occurred_at=moment, actor=actor, correlation_id=actor
    )
    store = MemoryEventStore()
    store.append(name, [new], Expected.ANY)
    raw = to_line(*store.read(name))
    stream, again = LineParser().parse(raw)
    assert raw.count(b"\n") == 1
    assert stream == name
    assert again == msgspec.structs.replace(new, data=data.replace(b"\n", b" ").replace(b"\r", b" "))
