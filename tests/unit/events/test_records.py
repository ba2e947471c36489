"""Events and their place in the log."""

from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events import START, Cursor, NewEvent, category_of, new_id

cursors = st.builds(Cursor, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))


@given(cursors, cursors)
def test_the_text_of_a_cursor_comes_back_and_sorts_as_the_cursor_does(one, other):
    assert Cursor.parse(str(one)) == one
    assert (one < other) == (str(one) < str(other))
    assert one >= START


@pytest.mark.parametrize("text", ["", "1-2-3", "x" * 42, "00000001-0000000000000002"])
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(ValueError, match="cursor"):
        Cursor.parse(text)


def test_new_ids_are_distinct_version_7_uuids_that_rise_with_time():
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {UUID(one).version for one in ids} == {7}
    assert ids[0][:9] <= ids[-1][:9]


@pytest.mark.parametrize(("stream", "category"), [("order-1-2", "order"), ("order", "order"), ("-1", "")])
def test_the_category_is_what_stands_before_the_first_dash(stream, category):
    assert category_of(stream) == category


@pytest.mark.parametrize(
    "fields",
    [
        {"type": ""},
        {"type": "a\0"},
        {"type": "\ud800"},
        {"id": "no uuid"},
        {"id": "0192F3A0-0000-7000-8000-000000000000"},
        {"schema_version": 0},
        {"schema_version": 2**31},
        {"occurred_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))},
        {"occurred_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - naive on purpose
        {"correlation_id": ""},
        {"actor": "a\0"},
    ],
)
def test_a_malformed_event_is_refused_when_it_is_made(fields):
    with pytest.raises(EventRefused):
        NewEvent(**{"type": "A", **fields})


def test_an_event_is_made_of_a_value_and_its_metadata():
    event = NewEvent.of("A", {"a": 1}, correlation_id="run", schema_version=2)
    assert (event.data, event.correlation_id, event.schema_version) == (b'{"a":1}', "run", 2)
