"""The filter language and its JSON."""

import json
import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.errors import ConfigurationError
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
    as_filter,
    both,
    lowered,
    parse_filter,
)
from pipelines_persistence.records import field_path, payload_key
from tests.contract.evaluating import matches
from tests.contract.points import identifier

UTC_NOON = datetime.fromisoformat("2026-01-31T12:00:00+00:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", Filter()),
        ('{"must": []}', Filter()),
        ('{"must": {"key": "a", "match": {"value": 1}}}', Filter(must=(Match("a", 1),))),
        (
            '{"should": [{"key": "a", "match": {"any": ["x", true, 2]}}]}',
            Filter(should=(MatchAny("a", ("x", True, 2)),)),
        ),
        (
            '{"must_not": [{"key": "a", "match": {"except": ["x"]}}]}',
            Filter(must_not=(MatchExcept("a", ("x",)),)),
        ),
        (
            '{"must": [{"key": "a", "match": {"text": "two words"}}]}',
            Filter(must=(MatchText("a", "two words"),)),
        ),
        (
            '{"must": [{"key": "page", "range": {"gte": 3, "lt": 4.5, "lte": null}}]}',
            Filter(must=(Range("page", gte=3, lt=4.5),)),
        ),
        (
            '{"must": [{"key": "when", "range": {"gt": "2026-01-31T12:00:00Z", "lte": "2026-01-31T13:00:00+01:00"}}]}',
            Filter(must=(DatetimeRange("when", gt=UTC_NOON, lte=UTC_NOON),)),
        ),
        (
            '{"must": [{"key": "when", "range": {"gte": "2026-01-31", "lt": "2026-01-31T12:00:00"}}]}',
            Filter(must=(DatetimeRange("when", gte=UTC_NOON.replace(hour=0), lt=UTC_NOON),)),
        ),
        (
            '{"must": [{"is_null": {"key": "a"}}, {"is_empty": {"key": "b"}}]}',
            Filter(must=(IsNull("a"), IsEmpty("b"))),
        ),
        (
            '{"must": [{"key": "a", "is_null": true}, {"key": "b", "is_empty": false}]}',
            Filter(must=(IsNull("a"), Filter(must_not=(IsEmpty("b"),)))),
        ),
        (
            json.dumps({"must": [{"has_id": [identifier(1), identifier(250).upper()]}]}),
            Filter(must=(HasId((identifier(1), identifier(250))),)),
        ),
        (
            '{"must": [{"nested": {"key": "a", "filter": {"must": [{"key": "b", "match": {"value": "x"}}]}}}]}',
            Filter(must=(Nested("a", Filter(must=(Match("b", "x"),))),)),
        ),
        (
            '{"must": [{"should": [{"key": "a", "match": {"value": "x"}}]}, {}]}',
            Filter(must=(Filter(should=(Match("a", "x"),)), Filter())),
        ),
    ],
)
def test_the_json_of_a_filter_is_read(text, expected):
    assert parse_filter(json.loads(text)) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], r"filter: \[\] .*must, should, must_not"),
        ({"key": "a", "match": {"value": 1}}, "filter: 'key' .*must, should, must_not"),
        ({"min_should": {}}, "filter: 'min_should'"),
        ({"must": 3}, "must: 3 .*list of conditions"),
        ({"must": [3]}, r"must\[0\]: 3 .*an object"),
        ({"must": [{"key": "a"}]}, r"must\[0\]: .*match, range, is_null, is_empty"),
        ({"must": [{"key": "a", "match": {"value": 1}, "range": {"gt": 1}}]}, r"must\[0\]: .*exactly one of"),
        ({"must": [{"key": 3, "match": {"value": 1}}]}, r"must\[0\].key: 3 .*text"),
        ({"must": [{"match": {"value": 1}}]}, r"must\[0\]"),
        (
            {"must": [{"key": "a", "match": {"vlaue": 1}}]},
            r"must\[0\].match: 'vlaue' .*value, any, except, text",
        ),
        ({"must": [{"key": "a", "match": {"value": None}}]}, r"must\[0\].match.value: None"),
        ({"must": [{"key": "a", "match": {"value": [1]}}]}, r"must\[0\].match.value: \[1\]"),
        ({"must": [{"key": "a", "match": {"any": "x"}}]}, r"must\[0\].match.any: 'x' .*list of values"),
        ({"must": [{"key": "a", "match": {"any": ["x", {}]}}]}, r"must\[0\].match.any\[1\]: {}"),
        (
            {"must": [{"key": "a", "range": {"from": 1}}]},
            r"must\[0\].range: 'from' .*one of gt, gte, lt, lte",
        ),
        ({"must": [{"key": "a", "range": {}}]}, r"must\[0\].range: .*needs a bound"),
        ({"must": [{"key": "a", "range": {"gt": True}}]}, r"must\[0\].range.gt: True .*number"),
        ({"must": [{"key": "a", "range": {"gt": math.nan}}]}, r"must\[0\].range: .*nan is no bound"),
        ({"must": [{"key": "a", "range": {"gt": 10**400}}]}, r"must\[0\].range: .*finite"),
        (
            {"must": [{"key": "a", "range": {"gt": "soon"}}]},
            r"must\[0\].range.gt: 'soon' .*such as 2026-01-31T12",
        ),
        (
            {"must": [{"key": "a", "range": {"gt": "2026-01-31Z"}}]},
            r"must\[0\].range.gt: .*such as 2026-01-31$",
        ),
        ({"must": [{"key": "", "is_null": True}]}, r"must\[0\].key: '' is no key"),
        ({"must": [{"is_empty": {"key": "a["}}]}, r"must\[0\].is_empty.key: 'a\[' is no key"),
        ({"must": [{"nested": {"key": "a..b", "filter": {}}}]}, r"must\[0\].nested.key: 'a..b' is no key"),
        ({"must": [{"key": 'a b "q" ü', "is_null": True}]}, r"must\[0\].key: 'a b \"q\" ü' is no key"),
        ({"must": [{"key": "a", "range": {"gt": "0001-01-01T00:00:00+01:00"}}]}, r"must\[0\].range: .*years"),
        (
            {"must": [{"key": "a", "range": {"gt": 1, "lt": "2026-01-31T12:00:00Z"}}]},
            r"must\[0\].range.gt: 1",
        ),
        ({"must": [{"key": "a", "is_null": "yes"}]}, r"must\[0\].is_null: 'yes' .*true or false"),
        ({"must": [{"has_id": "one"}]}, r"must\[0\].has_id: 'one' .*list of ids"),
        ({"must": [{"has_id": [1]}]}, r"must\[0\].has_id\[0\]: 1 .*text"),
        ({"must": [{"has_id": ["one"]}]}, r"must\[0\].has_id\[0\]: 'one' .*UUID"),
        ({"must": [{"nested": {"key": "a"}}]}, r"must\[0\].nested: .*a key and a filter"),
        (
            {"must": [{"nested": {"key": "a", "filter": {"must": [{"has_id": []}]}}}]},
            r"must\[0\].nested: .*has_id",
        ),
        (
            {"should": [{}, {"must": [{"must_not": [{"key": "a", "match": {}}]}]}]},
            r"should\[1\].must\[0\].must_not\[0\].match",
        ),
        ({"must": ["x" * 500]}, r"must\[0\]: '?x{50,60}\.\.\."),
    ],
)
def test_what_is_no_filter_is_refused_by_its_place(value, words):
    with pytest.raises(ConfigurationError, match=words):
        parse_filter(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "must",
                    "should",
                    "must_not",
                    "key",
                    "match",
                    "range",
                    "value",
                    "any",
                    "gt",
                    "nested",
                    "filter",
                    "has_id",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_a_filter_or_refused_in_words(value):
    try:
        answer = parse_filter(value)
    except ConfigurationError as error:
        answer = str(error)
    assert isinstance(answer, Filter) or "expected" in answer or "filter on" in answer


def test_keys_are_renamed_everywhere_but_within_nested():
    where = Filter(
        must=(Match("customer", "x"), HasId(("one",)), Range("ordinal", gt=1)),
        should=(Nested("offers", Filter(must=(Match("shop", "y"),))), Match("offers[].shop", "y")),
        must_not=(Filter(must=(IsEmpty("headings[]"),)),),
    )
    assert where.renamed(payload_key) == Filter(
        must=(Match("metadata.customer", "x"), HasId(("one",)), Range("ordinal", gt=1)),
        should=(
            Nested("metadata.offers", Filter(must=(Match("shop", "y"),))),
            Match("metadata.offers[].shop", "y"),
        ),
        must_not=(Filter(must=(IsEmpty("headings[]"),)),),
    )


def test_two_filters_are_joined_and_nothing_is_added_to_one():
    one = Filter(should=(Match("a", 1), Match("b", 2)))
    assert both(one, None) == both({}, one) == one
    assert both(None, {}) == Filter()
    assert both(one, {"c": 3}) == Filter(must=(one, as_filter({"c": 3})))


def literal(value):
    return Filter(must=(value,))


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (Match("a", "x"), Match("a", "x")),
        (Match("a", value=True), Match("a", value=True)),
        (Match("a", 1), Range("a", gte=1, lte=1)),
        (Match("a", 2**53 + 1), Match("a", 2**53 + 1)),
        (Match("a", 0.1), Range("a", gte=math.nextafter(0.1, 0), lte=math.nextafter(0.1, 1))),
        (MatchAny("a", ("x", "y")), MatchAny("a", ("x", "y"))),
        (MatchAny("a", ("x", 1)), Filter(should=(MatchAny("a", ("x",)), Range("a", gte=1, lte=1)))),
        (MatchExcept("a", ("x",)), MatchExcept("a", ("x",))),
        (Range("a", gte=0.1, lt=3), Range("a", gte=math.nextafter(0.1, 0), lt=3)),
    ],
)
def test_a_filter_is_lowered_to_words_that_an_engine_takes_literally(condition, words):
    assert lowered(literal(condition)) == literal(words)
    assert lowered(literal(Nested("n", literal(condition)))) == literal(Nested("n", literal(words)))


VALUES = st.sampled_from([-1, 0, 1, 1.0, 1.5, True, False, "x", "y", ""])


@given(st.lists(VALUES, max_size=4).map(tuple), VALUES | st.none(), st.sampled_from([MatchAny, MatchExcept]))
def test_lowering_does_not_change_the_meaning(values, value, kind):
    where = literal(kind("a", values))
    assert matches(lowered(where), {"a": value}) == matches(where, {"a": value})


def nested_json(levels, clause):
    value = {}
    for _ in range(levels - 1):
        value = {"must": [clause(value)]}
    return value


CLAUSES = [lambda inner: inner, lambda inner: {"nested": {"key": "a", "filter": inner}}]


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, MAX_DEPTH + 9, 60, 300, 3000])
def test_a_filter_that_nests_too_deep_is_refused_by_the_limit(levels, clause):
    with pytest.raises(ConfigurationError, match=f"deeper than {MAX_DEPTH} levels"):
        parse_filter(nested_json(levels, clause))


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_filter_at_the_limit_is_read_and_lowered(clause):
    where = parse_filter(nested_json(MAX_DEPTH, clause))
    assert where.depth == lowered(where).depth == MAX_DEPTH
    assert where.renamed(payload_key).depth == MAX_DEPTH


def test_a_filter_that_is_built_too_deep_is_refused_before_anybody_walks_over_it():
    def build():
        where = Filter()
        for _ in range(3000):
            where = Filter(must=(where,))

    with pytest.raises(ConfigurationError, match=f"deeper than {MAX_DEPTH} levels"):
        build()
    one_too_many = Filter(must_not=(parse_filter(nested_json(MAX_DEPTH, CLAUSES[1])),))
    with pytest.raises(ConfigurationError, match=f"deeper than {MAX_DEPTH} levels"):
        lowered(one_too_many)


def test_json_that_is_deep_where_a_value_belongs_is_refused_too():
    value = []
    for _ in range(900):
        value = [value]
    with pytest.raises(ConfigurationError, match="deeper than"):
        parse_filter({"must": [{"key": "a", "match": {"value": value}}]})


@pytest.mark.parametrize(
    ("key", "path", "in_payload"),
    [
        ("team", "team", "metadata.team"),
        ("headings[0]", "headings[0]", "headings[0]"),
        ("headings[]", "headings[]", "headings[]"),
        ("headings", "headings", "headings"),
        ("headings2[0]", "headings2[0]", "metadata.headings2[0]"),
        ("offers[2][].price", "offers[2][].price", "metadata.offers[2][].price"),
        ("metadata.a.b", "metadata.a.b", "metadata.a.b"),
        ("a b", '"a b"', 'metadata."a b"'),
        ("a b.c d[0]", '"a b"."c d"[0]', 'metadata."a b"."c d"[0]'),
        ('"a.b".c', '"a.b".c', 'metadata."a.b".c'),
        ('"text"', "text", "text"),
        ("rød", "rød", "metadata.rød"),
    ],
)
def test_a_key_is_written_as_the_engine_writes_it(key, path, in_payload):
    assert (field_path(key), payload_key(key)) == (path, in_payload)
    assert field_path(path) == path
    assert payload_key(in_payload) == in_payload


@pytest.mark.parametrize(
    "key",
    ["", ".", "a.", ".a", "a..b", "a[", "a]", "[0]", "a[x]", "a[-1]", "a[0]b", 'a"b', '"a', '""', "a\\b"],
)
def test_what_is_no_key_is_refused_as_it_was_written(key):
    for read in (field_path, payload_key):
        with pytest.raises(ConfigurationError) as refused:
            read(key)
        assert str(refused.value).startswith(f"{key!r} is no key")
