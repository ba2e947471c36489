"""Collections that are what was asked for."""

import contextlib
import threading
from dataclasses import replace

import pytest

from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.errors import StoreError, StoreUnavailable
from pipelines_persistence.ports import Query
from pipelines_persistence.records import CollectionSpec, HnswSpec
from tests.unit.qdrant_server.conftest import SPEC, some_points
from tests.wire_double import Fault

EVERYTHING = CollectionSpec(
    dimension=4,
    hnsw=HnswSpec(m=24, ef_construct=80, full_scan_threshold=500, on_disk=True),
    quantization="int8",
    on_disk=True,
    payload_indexes={"customer": "keyword", "page": "integer"},
    sparse=True,
    tenant="customer",
    shards=3,
    replicas=2,
    write_consistency=2,
)


def test_everything_that_is_asked_for_reaches_the_server(double, store):
    store.create("docs", EVERYTHING)
    info = double.engine.get("docs").info
    params, hnsw = info.config.params, info.config.hnsw_config
    assert (params.shard_number, params.replication_factor, params.write_consistency_factor) == (3, 2, 2)
    assert (hnsw.m, hnsw.ef_construct, hnsw.full_scan_threshold, hnsw.on_disk) == (24, 80, 500, True)
    assert params.vectors_config.params_map.map["dense"].on_disk
    assert info.config.quantization_config.HasField("scalar")
    assert params.sparse_vectors_config.map["bm25"].modifier == 1
    assert info.payload_schema["customer"].params.keyword_index_params.is_tenant
    assert not info.payload_schema["page"].params.keyword_index_params.is_tenant


def test_what_is_equal_is_only_looked_at(double, store):
    store.create("docs", EVERYTHING)
    double.faults.forget_calls()
    store.create("docs", EVERYTHING)
    assert set(double.faults.calls) == {"Collections/Get", "Collections/ListAliases"}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"sparse": False}, "sparse"), ({"shards": 4}, "shards 3, not 4"), ({"dimension": 5}, "dimension")],
)
def test_what_cannot_be_changed_is_refused(store, change, words):
    store.create("docs", EVERYTHING)
    with pytest.raises(StoreError, match=words):
        store.create("docs", replace(EVERYTHING, **change))


def test_what_nobody_asks_for_is_the_servers_choice(store):
    store.create("docs", EVERYTHING)
    store.create("docs", replace(EVERYTHING, shards=None, replicas=None, write_consistency=None))


def test_replicas_tenant_and_quantization_are_changed_in_place(double, store):
    store.create("docs", EVERYTHING)
    changed = replace(EVERYTHING, replicas=3, quantization="none", tenant="", write_consistency=1)
    store.create("docs", changed)
    info = double.engine.get("docs").info
    assert info.config.params.replication_factor == 3
    assert not info.config.HasField("quantization_config")
    assert not info.payload_schema["customer"].params.keyword_index_params.is_tenant


@pytest.mark.parametrize(
    ("ignored", "words"),
    [
        ("Collections/Update", "hnsw"),
        ("Points/CreateFieldIndex", "payload indexes"),
        ("Points/DeleteFieldIndex", "indexes"),
    ],
)
def test_a_server_that_does_not_do_what_it_acknowledges_is_found_out(double, store, ignored, words):
    store.create("docs", SPEC)
    double.faults.plan(Fault(ignored, ignored=True))
    with pytest.raises(StoreError, match=words):
        store.create("docs", replace(SPEC, hnsw=HnswSpec(m=40), payload_indexes={"other": "integer"}))


@pytest.mark.parametrize("method", ["Collections/Create", "Points/CreateFieldIndex", "Collections/Update"])
def test_a_creation_whose_answer_was_lost_is_completed_by_the_next(double, store, method):
    if method == "Collections/Update":
        store.create("docs", replace(EVERYTHING, hnsw=HnswSpec(m=8)))
    double.faults.plan(Fault(method, calls=1, status="UNAVAILABLE", applied=True))
    with contextlib.suppress(StoreUnavailable):
        store.create("docs", EVERYTHING)
    store.create("docs", EVERYTHING)
    assert store.info("docs").payload_indexes == EVERYTHING.payload_indexes


def test_processes_that_create_the_same_collection_all_succeed(double):
    errors, barrier = [], threading.Barrier(6)

    def work():
        own = QdrantServerStore(double.url)
        barrier.wait()
        try:
            own.create("docs", EVERYTHING)
        except Exception as error:  # noqa: BLE001 - is shown by the assertion
            errors.append(error)
        own.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_nothing_is_written_where_one_row_of_many_is_bad(double, store):
    store.create("docs", SPEC)
    small = QdrantServerStore(double.url, batch=2)
    points = some_points(9)
    points.vectors[8, 1] = float("nan")
    with pytest.raises(StoreError, match="row 8"):
        small.upsert("docs", points)
    assert "Points/Upsert" not in double.faults.calls


def test_a_large_write_goes_in_batches_and_all_of_it_arrives(double, store):
    store.create("docs", SPEC)
    small = QdrantServerStore(double.url, batch=7, streams=3)
    small.upsert("docs", some_points(100))
    assert double.faults.calls["Points/Upsert"] == 15
    assert store.count("docs") == 100


def test_a_query_is_checked_against_what_the_name_stands_for_now(double, store):
    reader = QdrantServerStore(double.url)
    store.create("docs-1", SPEC)
    store.point_alias("docs", "docs-1")
    store.upsert("docs", some_points(3))
    query = some_points(1).vectors[0]
    assert len(reader.search("docs", _near(query))) == 3
    double.faults.forget_calls()
    assert len(reader.search("docs", _near(query))) == 3
    assert double.faults.calls == {"Points/QueryBatch": 1}
    store.create("docs-2", replace(SPEC, dimension=2))
    store.point_alias("docs", "docs-2")
    assert reader.search("docs", _near(query[:2])) == []
    with pytest.raises(StoreError, match="shape"):
        reader.search("docs", _near(query))


def _near(vector):
    return Query(vector=vector, limit=5)
