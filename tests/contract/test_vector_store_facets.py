"""How every `VectorStore` counts the values of a field."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipelines_persistence.errors import StoreError
from pipelines_persistence.filters import Filter, Range
from pipelines_persistence.records import FacetValue
from tests.contract.points import SPEC, batch, identifier

FACETED = replace(
    SPEC,
    payload_indexes={
        "word": "keyword",
        "page": "integer",
        "truth": "bool",
        "uuid": "uuid",
        "price": "float",
        "metadata.team": "keyword",
    },
)


def payload(number):
    rng = np.random.default_rng(number)
    return {
        "word": [f"w{value}" for value in sorted(set(rng.integers(0, 6, 3).tolist()))],
        "page": int(rng.integers(0, 4)),
        "truth": bool(number % 3),
        "uuid": identifier(number % 5),
        "price": number / 2,
        "metadata": {"team": f"team {number % 7}"},
    }


def ranked(counter):
    return [
        FacetValue(value, count)
        for value, count in sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


@pytest.fixture
def faceted(store):
    store.create("docs", FACETED)
    store.upsert("docs", batch(range(60), payload))
    return store


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("word", lambda item: item["word"]),
        ("page", lambda item: [item["page"]]),
        ("truth", lambda item: [item["truth"]]),
        ("uuid", lambda item: [item["uuid"]]),
        ("metadata.team", lambda item: [item["metadata"]["team"]]),
    ],
)
@pytest.mark.parametrize("where", [None, Filter(must=(Range("page", gte=2),))])
def test_a_facet_counts_the_points_of_each_value(faceted, key, values, where):
    payloads = [item for item in map(payload, range(60)) if where is None or item["page"] >= 2]
    expected = ranked(Counter(value for item in payloads for value in values(item)))
    found = faceted.facet("docs", key, limit=100, where=where)
    assert found == expected
    assert {type(facet.value) for facet in found} == {type(facet.value) for facet in expected}
    assert faceted.facet("docs", key, limit=2, where=where) == expected[:2]


def test_values_that_no_point_has_any_more_are_not_told(faceted):
    teams = Counter(f"team {number % 7}" for number in range(60) if number % 7 != 3 and number != 4)
    with faceted.session("docs"):
        faceted.delete("docs", [identifier(number) for number in range(60) if number % 7 == 3])
        faceted.set_payloads("docs", {identifier(4): {}})
        assert faceted.facet("docs", "metadata.team", limit=100) == ranked(teams)


def test_a_value_twice_in_a_list_is_one_point(store):
    store.create("docs", FACETED)
    store.upsert("docs", batch(range(3), lambda number: {"word": ["x", "x", "y"][number:]}))
    assert store.facet("docs", "word") == [FacetValue("y", 3), FacetValue("x", 2)]


@pytest.mark.parametrize("key", ["price", "nothing", "metadata"])
def test_a_field_without_an_index_for_it_is_refused(faceted, key):
    with pytest.raises(StoreError, match="index"):
        faceted.facet("docs", key)
