"""What every `VectorStore` keeps of collections and points; each adapter is one parameter of the fixture `store`."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipelines_persistence.errors import IndexNotFound, StoreError
from pipelines_persistence.ports import Query
from pipelines_persistence.records import Distance, HnswSpec, Points, SparseVector
from tests.contract.points import DIMENSION, SPEC, WITH_WORDS, batch, batch_with_words, identifier, numbers

# Collections


def test_a_new_collection_is_empty_and_reports_what_it_was_asked_to_be(store):
    store.create("docs", SPEC)
    info = store.info("docs")
    assert store.collections() == ["docs"]
    assert (info.name, info.points, info.dimension, info.distance) == ("docs", 0, DIMENSION, Distance.COSINE)
    assert info.payload_indexes == SPEC.payload_indexes


def test_creating_an_equal_collection_again_changes_nothing(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(3)))
    store.create("docs", SPEC)
    assert store.count("docs") == 3


@pytest.mark.parametrize("change", [{"dimension": 9}, {"distance": Distance.DOT}, {"sparse": True}])
def test_what_decides_the_vectors_cannot_be_changed_and_nothing_is_lost(store, change):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(3)))
    with pytest.raises(StoreError, match=next(iter(change))):
        store.create("docs", replace(SPEC, **change))
    assert store.count("docs") == 3


def test_other_tuning_is_brought_to_the_collection_and_its_points_stay(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(3)))
    changed = replace(
        SPEC,
        hnsw=HnswSpec(m=32, ef_construct=200),
        quantization="int8",
        on_disk=True,
        payload_indexes={"document": "text", "seen": "datetime"},
    )
    store.create("docs", changed)
    assert store.info("docs").payload_indexes == changed.payload_indexes
    assert store.count("docs") == 3
    assert numbers(store.search("docs", Query(batch([1]).vectors[0], limit=1))) == [1]


def test_a_collection_is_divided_among_tenants_and_can_be_divided_otherwise(store):
    indexes = {"customer": "keyword", "metadata.team": "keyword"}
    for tenant in ("customer", "metadata.team", ""):
        store.create("docs", replace(SPEC, payload_indexes=indexes, tenant=tenant))
        assert store.info("docs").payload_indexes == indexes


def test_a_tenant_without_its_index_is_refused(store):
    with pytest.raises(StoreError, match=r"customer.*keyword"):
        store.create("docs", replace(SPEC, tenant="customer"))


def test_what_a_collection_is_can_be_watched(store):
    store.create("docs", WITH_WORDS)
    store.upsert("docs", batch_with_words(range(5)))
    info = store.info("docs")
    assert (info.points, info.status, info.optimizer, info.sparse) == (5, "green", "ok", True)
    assert info.segments >= 1
    assert 0 <= info.indexed_share <= 1
    assert info.bytes is None or info.bytes > 0


def test_every_type_of_payload_index_is_made(store):
    words = ["keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo"]
    indexes = {f"field_{word}": word for word in words} | {"nested.key": "keyword", "with space": "keyword"}
    store.create("docs", replace(SPEC, payload_indexes=indexes))
    assert store.info("docs").payload_indexes == indexes


@pytest.mark.parametrize("distance", Distance)
def test_every_distance_finds_the_same_vector_first(store, distance):
    store.create("docs", replace(SPEC, distance=distance))
    points = batch(range(20))
    unit = Points(
        points.ids, points.vectors / np.linalg.norm(points.vectors, axis=1, keepdims=True), points.payloads
    )
    store.upsert("docs", unit)
    hits = store.search("docs", Query(unit.vectors[7], limit=20))
    scores = [hit.score for hit in hits]
    assert numbers(hits)[0] == 7
    assert scores == sorted(scores, reverse=distance in {Distance.COSINE, Distance.DOT})


def test_a_dropped_collection_is_gone_and_can_be_made_anew(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(3)))
    store.drop("docs")
    store.drop("docs")
    assert store.collections() == []
    store.create("docs", replace(SPEC, dimension=4))
    assert store.info("docs").points == 0


@pytest.mark.parametrize("name", ["", "../docs", "a/b", ".hidden", "a b", "x" * 300])
def test_a_name_that_could_leave_the_store_is_refused(store, name):
    with pytest.raises(StoreError):
        store.create(name, SPEC)


# Aliases


def test_an_alias_is_read_and_written_like_the_collection_it_points_to(store):
    store.create("docs-1", SPEC)
    store.point_alias("docs", "docs-1")
    store.upsert("docs", batch(range(3)))
    assert store.aliases() == {"docs": "docs-1"}
    assert store.count("docs-1") == store.count("docs") == 3
    assert store.info("docs").name == "docs-1"


def test_pointing_an_alias_elsewhere_changes_what_its_readers_see(store):
    for name, count in (("docs-1", 3), ("docs-2", 5)):
        store.create(name, SPEC)
        store.upsert(name, batch(range(count)))
        store.point_alias("docs", name)
    assert store.count("docs") == 5


def test_a_collection_that_an_alias_points_to_is_not_dropped(store):
    store.create("docs-1", SPEC)
    store.point_alias("docs", "docs-1")
    with pytest.raises(StoreError, match="docs"):
        store.drop("docs-1")
    assert store.collections() == ["docs-1"]


def test_an_alias_needs_a_collection(store):
    with pytest.raises(IndexNotFound):
        store.point_alias("docs", "nowhere")
    assert store.aliases() == {}


def test_a_collection_and_an_alias_never_share_a_name(store):
    store.create("docs-1", SPEC)
    store.point_alias("docs", "docs-1")
    with pytest.raises(StoreError, match="alias"):
        store.create("docs", SPEC)
    with pytest.raises(StoreError, match="collection"):
        store.point_alias("docs-1", "docs-1")


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.info("nowhere"),
        lambda store: store.upsert("nowhere", batch([1])),
        lambda store: store.set_payloads("nowhere", {identifier(1): {}}),
        lambda store: store.delete("nowhere", [identifier(1)]),
        lambda store: store.retrieve("nowhere", [identifier(1)]),
        lambda store: store.scroll("nowhere"),
        lambda store: store.count("nowhere"),
        lambda store: store.search("nowhere", Query(batch([1]).vectors[0], limit=1)),
        lambda store: store.search_batch("nowhere", [Query(batch([1]).vectors[0])]),
        lambda store: store.facet("nowhere", "document"),
        lambda store: store.snapshot("nowhere"),
        lambda store: store.snapshots("nowhere"),
    ],
)
def test_an_unknown_name_says_how_to_make_the_index(store, call):
    with pytest.raises(IndexNotFound, match="pipelines ingest"):
        call(store)


# Points


def test_what_was_written_is_read_back_as_it_was(store):
    store.create("docs", replace(SPEC, distance=Distance.DOT))
    points = batch(range(5))
    store.upsert("docs", points)
    found = sorted(
        store.retrieve("docs", [*points.ids, identifier(99)], vectors=True), key=lambda point: point.id
    )
    assert numbers(found) == [0, 1, 2, 3, 4]
    assert [point.payload for point in found] == list(points.payloads)
    assert np.array_equal(np.array([point.vector for point in found]), points.vectors)


def test_vectors_are_read_only_when_asked_for(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch([1]))
    assert store.retrieve("docs", [identifier(1)])[0].vector is None
    assert next(store.scroll("docs")).vector is None
    assert next(store.scroll("docs", vectors=True)).vector.dtype == np.float32


def test_sparse_vectors_are_read_back_as_they_were(store):
    store.create("docs", WITH_WORDS)
    points = replace(
        batch([1, 2, 3]),
        sparse=[
            SparseVector([7, 2**32 - 1], [0.5, -2.0]),
            SparseVector([], []),
            SparseVector([9, 4], [1.0, 2.0]),
        ],
    )
    store.upsert("docs", points)
    found = [point.sparse for point in store.scroll("docs", vectors=True)]
    assert [dict(zip(vector.indices, vector.values, strict=True)) if vector else {} for vector in found] == [
        {7: 0.5, 2**32 - 1: -2.0},
        {},
        {9: 1.0, 4: 2.0},
    ]
    assert store.retrieve("docs", [identifier(1)])[0].sparse is None


def test_a_payload_is_replaced_and_both_vectors_stay(store):
    store.create("docs", WITH_WORDS)
    store.upsert("docs", batch_with_words([4]))
    (before,) = store.scroll("docs", vectors=True)
    store.set_payloads("docs", {identifier(4): {"new": 1}})
    (after,) = store.scroll("docs", vectors=True)
    assert after.payload == {"new": 1}
    assert after.sparse == before.sparse
    assert np.array_equal(after.vector, before.vector)


def test_a_point_with_the_same_id_is_replaced(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch([1], lambda _: {"old": 1}))
    store.upsert("docs", batch([1], lambda _: {"new": 2}))
    assert [point.payload for point in store.scroll("docs")] == [{"new": 2}]


def test_an_empty_batch_changes_nothing(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch([]))
    store.delete("docs", [])
    store.set_payloads("docs", {})
    assert store.retrieve("docs", []) == []
    assert store.count("docs") == 0


def test_deleted_points_are_gone_and_unknown_ids_are_ignored(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(5)))
    store.delete("docs", (identifier(number) for number in (1, 3, 77)))
    assert numbers(store.scroll("docs")) == [0, 2, 4]


def test_payloads_are_replaced_whole_and_vectors_stay(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(3), lambda number: {"number": number, "old": True}))
    before = store.retrieve("docs", [identifier(1)], vectors=True)[0].vector
    store.set_payloads("docs", {identifier(99): {"new": 0}, identifier(1): {"new": 1}})
    (point,) = store.retrieve("docs", [identifier(1)], vectors=True)
    assert point.payload == {"new": 1}
    assert np.array_equal(point.vector, before)
    assert store.count("docs") == 3


@pytest.mark.parametrize("page", [1, 7, 20, 1000])
def test_a_scroll_in_pages_sees_every_point_once_in_the_order_of_ids(store, page):
    store.create("docs", SPEC)
    store.upsert("docs", batch(reversed(range(20))))
    assert numbers(store.scroll("docs", page=page)) == list(range(20))


def test_a_scroll_goes_on_while_points_are_written_and_deleted(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(10)))
    seen = []
    for point in store.scroll("docs", page=2):
        seen += numbers([point])
        store.delete("docs", [point.id, identifier(seen[-1] + 1)] if seen[-1] % 2 else [point.id])
    assert seen == sorted(seen)
    assert store.count("docs") < 10


# What is refused


def spoilt(**change) -> Points:
    points = batch([1, 2, 3])
    return replace(points, **change)


def with_component(value: float) -> np.ndarray:
    vectors = batch([1, 2, 3]).vectors
    vectors[2, 5] = value
    return vectors


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (spoilt(vectors=with_component(math.nan)), "row 2 .*NaN"),
        (spoilt(vectors=with_component(math.inf)), "row 2 .*infinity"),
        (spoilt(vectors=batch([1, 2, 3]).vectors * np.array([[1], [0], [1]], np.float32)), "row 1 .*zero"),
        (spoilt(vectors=batch([1, 2, 3]).vectors.astype(np.float64)), "float64"),
        (batch([1, 2, 3], dimension=7), "7"),
        (spoilt(ids=[identifier(1), "two", identifier(3)]), "row 1.*two"),
        (spoilt(ids=[identifier(1), identifier(2), "{" + identifier(3) + "}"]), "row 2"),
        (spoilt(ids=[identifier(1)]), "1 ids"),
        (spoilt(payloads=[{}, {}]), "2 payloads"),
        (spoilt(payloads=[{}, {"price": math.nan}, {}]), "row 1 .*price"),
        (spoilt(payloads=[{}, {}, {"deep": {"list": [1, math.inf]}}]), "row 2 .*deep"),
        (spoilt(payloads=[{"big": 2**63}, {}, {}]), "row 0 .*big"),
        (spoilt(payloads=[{"small": -(2**63) - 1}, {}, {}]), "row 0 .*small"),
        (spoilt(payloads=[{"raw": b"bytes"}, {}, {}]), "row 0 .*bytes"),
        (spoilt(payloads=[{"when": object()}, {}, {}]), "row 0 .*object"),
        (spoilt(payloads=[{"half": "\ud800"}, {}, {}]), "row 0 .*half"),
        (spoilt(payloads=[{"map": {1: 2}}, {}, {}]), "row 0 .*key 1"),
    ],
)
def test_a_batch_with_one_bad_row_names_it_and_writes_nothing(store, points, words):
    store.create("docs", SPEC)
    with pytest.raises(StoreError, match=words):
        store.upsert("docs", points)
    assert store.count("docs") == 0


@pytest.mark.parametrize(
    ("spec", "sparse", "words"),
    [
        (SPEC, [SparseVector([1], [1.0])] * 3, "sparse"),
        (WITH_WORDS, None, "sparse"),
        (WITH_WORDS, [SparseVector([1], [1.0])] * 2, "2 sparse"),
        (WITH_WORDS, [SparseVector([1], [1.0]), SparseVector([1, 2], [1.0])] * 2, "sparse"),
        (WITH_WORDS, [SparseVector([1], [1.0])] * 2 + [SparseVector([1, 2], [1.0])], "row 2 .*2 indices"),
        (WITH_WORDS, [SparseVector([1], [1.0])] * 2 + [SparseVector([5, 5], [1.0, 2.0])], "row 2 .*distinct"),
        (WITH_WORDS, [SparseVector([2**32], [1.0])] * 3, "row 0 .*32 bits"),
        (WITH_WORDS, [SparseVector([-1], [1.0])] * 3, "row 0 .*unsigned"),
        (WITH_WORDS, [SparseVector([1], [math.nan])] * 3, "row 0 .*finite"),
        (WITH_WORDS, [SparseVector([1], [math.inf])] * 3, "row 0 .*finite"),
    ],
)
def test_sparse_vectors_that_do_not_belong_are_refused_and_nothing_is_written(store, spec, sparse, words):
    store.create("docs", spec)
    with pytest.raises(StoreError, match=words):
        store.upsert("docs", spoilt(sparse=sparse))
    assert store.count("docs") == 0


def test_a_payload_nested_too_deep_is_refused_and_the_collection_stays_readable(store):
    store.create("docs", SPEC)
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    with pytest.raises(StoreError, match="nested"):
        store.upsert("docs", batch([1], lambda _: {"deep": deep}))
    store.upsert("docs", batch([2]))
    assert numbers(store.scroll("docs")) == [2]


@pytest.mark.parametrize(
    "vector", [np.zeros(8), np.zeros(8, np.float32), np.ones(7, np.float32), np.full(8, np.nan, np.float32)]
)
def test_a_query_that_is_no_vector_of_the_collection_is_refused(store, vector):
    store.create("docs", SPEC)
    with pytest.raises(StoreError):
        store.search("docs", Query(vector, limit=1))


def test_a_closed_store_may_be_closed_again_and_another_one_reads_on(store):
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(3)))
    store.close()
    store.close()
    assert store.count("docs") == 3
