"""What every `VectorStore` makes of a filter."""

import math
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from pipelines_persistence.errors import ConfigurationError, StoreError
from pipelines_persistence.filters import (
    MAX_DEPTH,
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
from pipelines_persistence.ports import Query
from tests.contract.evaluating import matches
from tests.contract.points import SPEC, WITH_WORDS, batch, batch_with_words, identifier, numbers, words

FIELDS = [
    {
        "word": "red",
        "n": 1,
        "truth": True,
        "price": 1.5,
        "tags": ["a", "b"],
        "author": {"name": "Ann"},
        "a b": "x",
    },
    {"word": "rød", "n": 2, "truth": False, "price": 2.0, "tags": ["b", 7], "author": {"name": "Bob"}},
    {"word": "1", "n": 2**53 + 1, "truth": 1, "price": 2, "tags": []},
    {"word": None, "n": 2**53, "truth": "true", "tags": "a"},
    {},
]


FILTERS: list[tuple[dict, list[int]]] = [
    ({"word": "red"}, [0]),
    ({"word": "rød"}, [1]),
    ({"word": "1"}, [2]),
    ({"n": 1}, [0]),
    ({"n": 1.0}, [0]),
    ({"n": 2**53 + 1}, [2]),
    ({"truth": True}, [0]),
    ({"truth": False}, [1]),
    ({"price": 1.5}, [0]),
    ({"price": 2}, [1, 2]),
    ({"price": 2.0}, [1, 2]),
    ({"tags": "a"}, [0, 3]),
    ({"tags": "b"}, [0, 1]),
    ({"tags": 7}, [1]),
    ({"author.name": "Bob"}, [1]),
    ({"a b": "x"}, [0]),
    ({"tags": "b", "truth": True}, [0]),
    ({"tags": "b", "word": "1"}, []),
    ({"nothing": "red"}, []),
    ({}, [0, 1, 2, 3, 4]),
]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_filter_keeps_the_points_that_have_every_value(store, indexed):
    indexes = {"word": "keyword", "n": "integer", "truth": "bool", "price": "float", "tags": "keyword"}
    store.create("docs", replace(SPEC, payload_indexes=indexes if indexed else {}))
    points = batch(range(5), lambda number: FIELDS[number])
    store.upsert("docs", points)
    queries = [Query(points.vectors[0], limit=10, where=where) for where, _ in FILTERS]
    found = [sorted(numbers(hits)) for hits in store.search_batch("docs", queries)]
    assert found == [expected for _, expected in FILTERS]
    with store.session("docs"):
        counts = [store.count("docs", where) for where, _ in FILTERS]
    assert counts == [len(expected) for _, expected in FILTERS]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_filter_finds_every_float_that_was_stored(store, indexed):
    store.create("docs", replace(SPEC, payload_indexes={"x": "float"} if indexed else {}))
    values = np.random.default_rng(0).uniform(0, 1, 40).tolist()
    store.upsert("docs", batch(range(40), lambda number: {"x": values[number]}))
    ranges = [Range("x", gte=value, lte=value) for value in values]
    beyond = [Filter(must=(Range("x", gt=value),)) for value in values]
    with store.session("docs"):
        assert [store.count("docs", {"x": value}) for value in values] == [1] * 40
        assert [store.count("docs", Filter(must=(exact,))) for exact in ranges] == [1] * 40
        above = [sum(other > value for other in values) for value in values]
        assert [store.count("docs", where) for where in beyond] == above


def test_a_field_that_no_filter_can_name_is_refused(store):
    store.create("docs", SPEC)
    with pytest.raises(ConfigurationError, match="rename"):
        store.count("docs", {'quo"te': 1})


def test_names_with_other_signs_are_found_at_every_level(store):
    store.create("docs", replace(SPEC, payload_indexes={"metadata.a b": "keyword"}))
    payloads = [{"metadata": {"a b": "x", "c.d": [{"e": 1}, {"e": 2}]}}, {"metadata.a b": "x", "c.d": 2}]
    store.upsert("docs", batch(range(2), lambda number: payloads[number]))
    assert numbers(store.scroll("docs", where={"metadata.a b": "x"})) == [0]
    assert numbers(store.scroll("docs", where={'metadata."c.d"[1].e': 2})) == [0]
    assert numbers(store.scroll("docs", where={'metadata."c.d"[0].e': 2})) == []
    assert numbers(store.scroll("docs", where={'"c.d"': 2})) == [1]


def deep(levels, wrap):
    where = Filter(must=(MatchExcept("x", ("t", 1, 2.5, True)),))  # what lowering makes most of
    for _ in range(levels - 1):
        where = Filter(must=(wrap(where),))
    return where


@pytest.mark.parametrize("wrap", [lambda where: where, lambda where: Nested("a", where)])
def test_the_deepest_filter_is_answered_by_every_call_and_a_deeper_one_refused(store, wrap):
    store.create("docs", WITH_WORDS)
    store.upsert("docs", batch_with_words(range(3), lambda number: {"x": ["t", "u"][number % 2]}))
    where = deep(MAX_DEPTH, wrap)
    plain = wrap(where) is where
    both = Query(batch([1]).vectors[0], words(1), where=where)
    with store.session("docs"):
        assert numbers(store.scroll("docs", where=where)) == ([1] if plain else [])
        assert store.count("docs", where) == (1 if plain else 0)
        assert store.facet("docs", "document", where=where) == []
        for query in (both, replace(both, sparse=None)):
            assert numbers(store.search("docs", query)) == ([1] if plain else [])
        with pytest.raises(ConfigurationError, match=f"deeper than {MAX_DEPTH}"):
            store.search("docs", replace(both, where=deep(MAX_DEPTH + 1, wrap)))


def at(text):
    return datetime.fromisoformat(text)


STOCK = [
    {"n": 1, "tags": ["a", "b"], "when": "2024-01-01T00:00:00Z", "offers": [{"shop": "x", "price": 5}]},
    {
        "n": 2.0,
        "tags": [],
        "when": "2024-01-01T02:00:00+02:00",
        "offers": [{"shop": "x", "price": 9}, {"shop": "y", "price": 5}],
    },
    {"n": 2.5, "tags": None, "when": "2024-06-01T12:00:00.5Z", "offers": []},
    {"n": 2**53 + 1, "tags": [None, "c"], "when": "never", "said": "The quick brown fox"},
    {"n": True, "tags": "a", "said": "quick, quick!", "offers": {"shop": "x", "price": 5}},
    {"n": [1, 7], "when": ["2023-01-01T00:00:00Z", "2025-01-01T00:00:00Z"], "said": ["slow", "brown bread"]},
]
CONDITIONS = [
    (MatchAny("n", (2, 7)), [1, 5]),
    (MatchAny("n", (2**53 + 1, "a", True)), [3, 4]),
    (MatchAny("tags", ("a", "c")), [0, 3, 4]),
    (MatchAny("tags", ()), []),
    (MatchExcept("tags", ("a",)), [0, 3]),
    (MatchExcept("tags", ("a", "b", "c")), []),
    (MatchExcept("n", (1, 2)), [2, 3, 4, 5]),
    (MatchExcept("n", (2.5, True)), [0, 1, 3, 5]),
    (MatchExcept("tags", (1,)), [0, 3, 4]),
    (MatchExcept("tags", ("a", False)), [0, 3]),
    (MatchExcept("n", ()), [0, 1, 2, 3, 4, 5]),
    (MatchText("said", "brown"), [3, 5]),
    (MatchText("said", "FOX the"), [3]),
    (MatchText("said", "qui"), []),
    (Range("n", gte=2, lt=2.5), [1]),
    (Range("n", gt=1), [1, 2, 3, 5]),
    (Range("n", gt=1, lt=7), [1, 2]),
    (DatetimeRange("when", lte=at("2024-01-01T00:00:00+00:00")), [0, 1, 5]),
    (DatetimeRange("when", gt=at("2024-01-01T00:00:00+00:00")), [2, 5]),
    (
        DatetimeRange("when", gte=at("2024-06-01T14:00:00.500000+02:00"), lt=at("2025-01-01T00:00:00+00:00")),
        [2],
    ),
    (IsNull("tags"), [2, 3]),
    (IsNull("nothing"), []),
    (IsEmpty("tags"), [1, 2, 5]),
    (IsEmpty("offers[].price"), [2, 3, 4, 5]),
    (HasId((identifier(1), identifier(99), identifier(4))), [1, 4]),
    (HasId(()), []),
    (Match("tags[0]", "a"), [0]),
    (Match("tags[1]", "c"), [3]),
    (Match("offers[0].price", 5), [0]),
    (Match("offers[1].shop", "y"), [1]),
    (IsEmpty("offers[1]"), [0, 2, 3, 4, 5]),
    (Match("offers[].shop", "y"), [1]),
    (Match("offers.shop", "x"), [4]),
    (Nested("offers", Filter(must=(Match("shop", "x"), Match("price", 5)))), [0]),
    (Nested("offers", Filter(must_not=(Match("shop", "x"),))), [1]),
    (Nested("offers", Filter()), [0, 1]),
    (Filter(must_not=(Nested("offers", Filter()),)), [2, 3, 4, 5]),
    (Filter(should=(Match("tags", "a"), Match("tags", "c")), must_not=(IsNull("tags"),)), [0, 4]),
    (Filter(must=(Filter(should=(Match("n", 1), Match("n", 2))),), should=(IsEmpty("tags"),)), [1, 5]),
    (Filter(), [0, 1, 2, 3, 4, 5]),
    (Filter(must_not=(Filter(),)), []),
]


def test_each_condition_means_what_its_words_say(store):
    store.create("docs", replace(SPEC, payload_indexes={"said": "text"}))
    store.upsert("docs", batch(range(6), lambda number: STOCK[number]))
    with store.session("docs"):
        found = [numbers(store.scroll("docs", page=2, where=Filter(must=(one,)))) for one, _ in CONDITIONS]
    assert found == [expected for _, expected in CONDITIONS]


def test_plain_python_reads_the_words_the_same_way():
    for condition, expected in CONDITIONS:
        where = Filter(must=(condition,))
        assert [n for n, payload in enumerate(STOCK) if matches(where, payload, identifier(n))] == expected, (
            condition
        )


def test_an_index_on_the_fields_of_a_list_changes_no_answer(store):
    indexes = {"offers[].shop": "keyword", "offers[].price": "integer", "said": "text"}
    store.create("docs", replace(SPEC, payload_indexes=indexes))
    store.upsert("docs", batch(range(6), lambda number: STOCK[number]))
    with store.session("docs"):
        for condition, expected in CONDITIONS:
            assert numbers(store.scroll("docs", where=Filter(must=(condition,)))) == expected, condition


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        (Filter(must=(HasId(("one",)),)), StoreError, "'one' is no UUID"),
        ({"n": 2**63}, ConfigurationError, "64 bits"),
        ({"n": math.nan}, ConfigurationError, "'n'"),
        ({"n": "a\ud800"}, ConfigurationError, "half a sign"),
        (Filter(must=(MatchText("n", "\udfff"),)), ConfigurationError, "half a sign"),
        (Filter(should=(MatchExcept("n", ("x", "\ud800")),)), ConfigurationError, "half a sign"),
        ({"n\ud800": 1}, ConfigurationError, "is no key"),
        ({"a..b": 1}, ConfigurationError, "is no key"),
        (Filter(must_not=(MatchAny("n", (1, math.inf)),)), ConfigurationError, "'n'"),
    ],
)
def test_a_filter_that_no_store_can_answer_is_refused(store, where, error, words):
    store.create("docs", SPEC)
    for ask in (store.count, lambda name, where: list(store.scroll(name, where=where))):
        with pytest.raises(error, match=words):
            ask("docs", where)
