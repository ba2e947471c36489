"""What the Dagster part of events decides and shows, without Dagster running."""

import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.defs.events.density import hole
from pipelines_persistence.defs.events.naming import feeds
from pipelines_persistence.defs.events.news import Seen, decide
from pipelines_persistence.defs.events.presentation import cell, difference_table
from pipelines_persistence.defs.events.runs import Place
from pipelines_persistence.events import START, Cursor
from pipelines_persistence.projections.verification import Difference

HEAD, LATER = str(Cursor(1, 0, 7)), str(Cursor(1, 0, 9))


def decided(before, now, *, reported=None, is_waiting=False):
    return decide(before, now, reported=reported, is_waiting=is_waiting)


@pytest.mark.parametrize(
    ("head", "reported", "expected"),
    [
        (str(START), None, False),  # an empty log is no news
        (HEAD, None, True),
        (HEAD, HEAD, False),
        (LATER, HEAD, True),
        (HEAD, LATER, True),  # a slow run told of an older place, or a backup was restored
    ],
)
def test_the_log_is_reported_where_it_is_elsewhere_than_it_was_reported(head, reported, expected):
    assert decided(Seen(), Seen(head), reported=reported).report is expected


def test_a_feed_asks_once_for_each_signature():
    before = Seen(feeds={"inbox": "a", "orders": "1"})
    assert decided(before, before).ask_for == {}
    assert decided(before, Seen(feeds={"inbox": "b", "orders": "1"})).ask_for == {"inbox": "b"}
    assert decided(before, Seen(feeds={"inbox": "", "new": "x"})).ask_for == {"new": "x"}


def test_the_same_news_have_the_same_key_whatever_else_moved():
    first = decided(Seen(), Seen(HEAD, {"inbox": "a", "orders": "1"}))
    again = decided(Seen(LATER), Seen(LATER, {"orders": "1", "inbox": "a"}))
    other = decided(Seen(), Seen(HEAD, {"inbox": "b", "orders": "1"}))
    assert first.run_key == again.run_key != other.run_key


def test_while_a_run_waits_news_stay_news():
    before, now = Seen(feeds={"inbox": "a"}), Seen(HEAD, {"inbox": "b"})
    held = decided(before, now, is_waiting=True)
    assert (held.ask_for, held.keep) == ({}, Seen(HEAD, {"inbox": "a"}))
    assert decided(held.keep, now).ask_for == {"inbox": "b"}


def test_what_fails_and_what_passes_again_have_turned():
    found = decided(Seen(failing=frozenset("ab")), Seen(failing=frozenset("bc")))
    assert found.turned == {"a", "c"}


def test_a_cursor_is_read_back_and_one_that_cannot_be_read_has_seen_nothing():
    seen = Seen(HEAD, {"inbox": "a"}, frozenset({"lag of x"}))
    assert Seen.parse(str(seen)) == seen
    assert Seen.parse("{") == Seen.parse(None) == Seen.parse('{"head": 1}') == Seen()
    assert Place.parse("[]") == Place.parse(None) == Place()


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        ([1, 2, 3], [1, 2, 3], ""),
        ([1, 3], [1, 2, 3], "version 2 of 3 missing"),
        ([3], [1, 2, 3], "version 1 and 1 more of 3 missing"),
        ([1, 2, 2, 3], [1, 2, 3], "versions are repeated or out of order"),
        ([1, 3, 2], [1, 2, 3], "versions are repeated or out of order"),
    ],
)
def test_a_hole_in_the_versions_is_said_in_words(found, expected, words):
    assert hole(found, expected) == words


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**53 + 1, str(2**53 + 1)),  # a browser would show another number
        (0.5, 0.5),
        (math.nan, "nan"),
        (datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))), "2026-01-01 12:00:00Z"),
        (Decimal("0.10"), "0.10"),
        ({"a": [1, "b"]}, '{"a":[1,"b"]}'),
        (b"\xff", '"/w=="'),
        (" two\n lines ", "two lines"),
        ("x" * 200, "x" * 120 + "…"),
        (object, "<class 'object'>"),
    ],
)
def test_a_value_of_any_kind_fits_into_a_cell(value, shown):
    assert cell(value) == shown


def test_each_column_that_differs_has_a_line_and_a_row_that_is_missing_has_one():
    changed = Difference("", ("a", 1), {"x": 1, "y": 0.3, "z": 3}, {"x": 2, "y": 0.3 + 1e-13, "z": 4})
    missing = Difference("gaps", ("b",), {"x": 1}, None)
    lines = [record.data for record in difference_table([changed, missing]).records]
    assert [(line["key"], line["column"], line["expected"], line["found"]) for line in lines] == [
        ("a, 1", "x", 1, 2),
        ("a, 1", "z", 3, 4),
        ("b", "", '{"x":1}', "no row"),
    ]


def test_feeds_whose_names_differ_only_in_what_a_key_cannot_hold_have_keys_of_their_own():
    config = EventsConfig.model_validate(
        {"inbox": ["in/box", "in box", "other"], "redis": {"streams": ["orders:new"]}}
    )
    keys = [key.to_user_string() for key in feeds(config).values()]
    assert len(set(keys)) == 4
    assert keys[2:] == ["inbox/other", "redis/orders_new"]
    assert all(key.startswith("inbox/in_box_") for key in keys[:2])
