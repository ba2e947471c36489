"""What every `VectorStore` finds: near a vector, by words, and by both."""

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from pipelines_persistence.errors import StoreError
from pipelines_persistence.ports import Query
from pipelines_persistence.records import Distance, Points, SparseVector
from tests.contract.points import SPEC, WITH_WORDS, batch, batch_with_words, numbers


@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_a_search_agrees_with_exact_cosine(store, quantization):
    store.create("docs", replace(SPEC, quantization=quantization))
    points = batch(range(300))
    store.upsert("docs", points)
    unit = points.vectors / np.linalg.norm(points.vectors, axis=1, keepdims=True)
    exact = unit @ unit[42]
    hits = store.search("docs", Query(points.vectors[42], limit=10))
    assert numbers(hits) == np.argsort(-exact)[:10].tolist()
    assert [hit.score for hit in hits] == pytest.approx(np.sort(exact)[::-1][:10], abs=1e-5)
    assert hits[0].payload == {"number": 42}


@pytest.mark.parametrize("scale", [1e-30, 1e-5, 1e5, 1e30])
def test_cosine_sees_the_direction_of_very_short_and_very_long_vectors(store, scale):
    store.create("docs", SPEC)
    points = batch(range(20))
    store.upsert("docs", replace(points, vectors=points.vectors * np.float32(scale)))
    (hit,) = store.search("docs", Query(points.vectors[3] * np.float32(scale), limit=1))
    assert numbers([hit]) == [3]
    assert hit.score == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("limit", "expected"), [(0, 0), (2, 2), (99, 5)])
def test_a_search_returns_at_most_as_many_as_asked_for(store, limit, expected):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(5)))
    assert len(store.search("docs", Query(batch([1]).vectors[0], limit=limit))) == expected


# Equals

EQUALS = 60


def with_equals(store, distance=Distance.COSINE):
    """Points of which all but the first ten are alike, written in an order that tells nothing."""
    order = np.random.default_rng(3).permutation(EQUALS).tolist()
    points = batch_with_words(order)
    for row, number in enumerate(order):
        if number >= 10:
            points.vectors[row] = batch([10]).vectors[0]
            points.sparse[row] = SparseVector([0, 6], [1.0, 1.5])
    store.create("docs", replace(WITH_WORDS, distance=distance))
    for half in (slice(0, 30), slice(30, EQUALS)):
        store.upsert(
            "docs",
            Points(points.ids[half], points.vectors[half], points.payloads[half], points.sparse[half]),
        )


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_hits_of_equal_score_are_those_of_the_lowest_ids_in_their_order(store, distance):
    with_equals(store, distance)
    near, worded = batch([10]).vectors[0], SparseVector([6], [1.0])
    with store.session("docs"):
        for limit in (1, 3, 20, 50):
            expected = list(range(10, 10 + limit))
            assert numbers(store.search("docs", Query(near, limit=limit))) == expected
        found = numbers(store.search("docs", Query(sparse=worded, limit=7)))
        assert found == [*range(10, 17)]
        far = numbers(store.search("docs", Query(near, limit=EQUALS)))
    assert far[:50] == [*range(10, EQUALS)]
    assert sorted(far[50:]) == [*range(10)]


def test_a_hybrid_search_ranks_equals_by_their_ids_on_both_sides(store):
    with_equals(store)
    query = Query(batch([10]).vectors[0], SparseVector([6], [1.0]), limit=4, candidates=5)
    hits = store.search("docs", query)
    assert numbers(hits) == [10, 11, 12, 13]
    assert [hit.score for hit in hits] == [pytest.approx(2 / (60 + rank)) for rank in (1, 2, 3, 4)]
    assert [hit.payload["number"] for hit in hits] == numbers(hits)


# Words


def test_a_sparse_search_weighs_the_words_by_their_rarity(store):
    store.create("docs", WITH_WORDS)
    words = [SparseVector([0], [1.0])] * 8 + [SparseVector([0, 1], [1.0, 1.0]), SparseVector([2], [1.0])]
    store.upsert("docs", replace(batch(range(10)), sparse=words))
    hits = store.search("docs", Query(sparse=SparseVector([0, 1], [1.0, 1.0]), limit=20))
    assert sorted(numbers(hits)) == list(range(9)), "a point without any of the words is no hit"
    assert numbers(hits)[0] == 8
    rare, common = hits[0].score - hits[1].score, hits[1].score
    assert rare > 5 * common, "one of ten has the rare word, nine have the other"


def test_a_sparse_score_is_the_dot_product_with_the_rarities(store):
    store.create("docs", WITH_WORDS)
    points = batch_with_words(range(1, 31))
    store.upsert("docs", points)
    asked = {0: 1.0, 3: 0.5, 6: 2.0}
    vectors = [dict(zip(vector.indices, vector.values, strict=True)) for vector in points.sparse]
    found = {word: sum(word in vector for vector in vectors) for word in asked}
    # The IDF of Robertson and Zaragoza, as Qdrant computes it: ln((N - n + 0.5) / (n + 0.5) + 1).
    rarity = {word: math.log((30 - n + 0.5) / (n + 0.5) + 1) for word, n in found.items()}
    expected = {
        identifier: sum(
            weight * rarity[word] * vector[word] for word, weight in asked.items() if word in vector
        )
        for identifier, vector in zip(points.ids, vectors, strict=True)
    }
    hits = store.search("docs", Query(sparse=SparseVector([*asked], [*asked.values()]), limit=30))
    assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-4)


def test_words_that_no_point_has_find_nothing(store):
    store.create("docs", WITH_WORDS)
    store.upsert("docs", batch_with_words(range(5)))
    assert store.search("docs", Query(sparse=SparseVector([99], [1.0]))) == []


# Both


@pytest.mark.parametrize("rank_constant", [1, 60])
@pytest.mark.parametrize("where", [None, {"odd": True}])
def test_a_hybrid_search_is_the_fusion_of_the_ranks_of_its_sides(store, rank_constant, where):
    store.create("docs", replace(WITH_WORDS, payload_indexes={"odd": "bool"}))
    store.upsert("docs", batch_with_words(range(1, 60), lambda number: {"odd": bool(number % 2)}))
    dense = Query(batch([5]).vectors[0], limit=10, where=where)
    sparse = Query(sparse=SparseVector([2, 5, 6], [1.0, 1.2, 1.5]), limit=10, where=where)
    expected: dict[str, float] = defaultdict(float)
    for side in (dense, sparse):
        for rank, hit in enumerate(store.search("docs", side), 1):
            expected[hit.id] += 1 / (rank_constant + rank)
    both = replace(dense, sparse=sparse.sparse, limit=50, candidates=10, rank_constant=rank_constant)
    hits = store.search("docs", both)
    assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-5)
    assert [hit.score for hit in hits] == pytest.approx(sorted(expected.values(), reverse=True), rel=1e-5)
    assert all(hit.payload["odd"] for hit in hits) == (where is not None)
    assert len(store.search("docs", replace(both, limit=3))) == 3


def test_each_side_of_a_hybrid_search_contributes_its_candidates_at_most(store):
    store.create("docs", WITH_WORDS)
    store.upsert("docs", batch_with_words(range(1, 40)))
    both = Query(batch([5]).vectors[0], SparseVector([6], [1.0]), limit=30, candidates=4)
    assert 4 <= len(store.search("docs", both)) <= 8


def test_a_batch_of_searches_finds_what_each_of_them_finds(store):
    store.create("docs", WITH_WORDS)
    store.upsert(
        "docs", batch_with_words(range(1, 40), lambda number: {"number": number, "even": number % 2 == 0})
    )
    vector, words = batch([7]).vectors[0], SparseVector([3, 6], [1.0, 1.3])
    queries = [
        Query(vector, limit=3),
        Query(sparse=words, limit=2),
        Query(vector, words, limit=5, where={"even": True}),
        Query(vector, limit=0),
        Query(vector, limit=3, where={"even": False}),
    ]
    together = store.search_batch("docs", queries)
    assert [len(hits) for hits in together] == [3, 2, 5, 0, 3]
    assert together == [store.search("docs", query) for query in queries]
    assert store.search_batch("docs", []) == []


@pytest.mark.parametrize(
    ("spec", "query", "words"),
    [
        (WITH_WORDS, Query(), "no vector"),
        (SPEC, Query(sparse=SparseVector([1], [1.0])), "no sparse vectors"),
        (SPEC, Query(batch([1]).vectors[0], SparseVector([1], [1.0])), "no sparse vectors"),
        (WITH_WORDS, Query(sparse=SparseVector([1, 1], [1.0, 1.0])), "distinct"),
        (WITH_WORDS, Query(batch([1], dimension=7).vectors[0], SparseVector([1], [1.0])), "7"),
    ],
)
def test_a_query_that_does_not_fit_the_collection_is_refused_in_a_batch_too(store, spec, query, words):
    store.create("docs", spec)
    with pytest.raises(StoreError, match=words):
        store.search("docs", query)
    with pytest.raises(StoreError, match=words):
        store.search_batch("docs", [Query(batch([1]).vectors[0]), query])
