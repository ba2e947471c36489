"""Stores that an earlier release has written."""

import json
from dataclasses import replace

import pytest

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.ports import Query
from tests.contract.points import SPEC, batch, numbers

NEW_FIELDS = ("sparse", "tenant", "shards", "replicas", "write_consistency")


@pytest.fixture
def old(tmp_path):
    store = EdgeVectorStore(tmp_path / "store")
    store.create("docs", SPEC)
    store.upsert("docs", batch(range(3)))
    sidecar = tmp_path / "store" / "collections" / "docs" / "collection.json"
    content = json.loads(sidecar.read_bytes())
    for field in NEW_FIELDS:
        del content["spec"][field]
    sidecar.write_text(json.dumps(content))
    return EdgeVectorStore(tmp_path / "store"), sidecar


def test_a_collection_from_before_there_were_words_and_tenants_is_read_and_written(old):
    store, _ = old
    store.upsert("docs", batch([3]))
    assert numbers(store.search("docs", Query(batch([3]).vectors[0], limit=1))) == [3]
    assert (store.info("docs").points, store.info("docs").sparse) == (4, False)


def test_it_is_what_the_same_specification_asks_for_today(old):
    store, sidecar = old
    before = sidecar.read_bytes()
    store.create("docs", SPEC)
    assert sidecar.read_bytes() == before, "nothing had to be changed"
    assert store.count("docs") == 3


def test_it_can_be_divided_among_tenants(old):
    store, _ = old
    store.create("docs", replace(SPEC, tenant="document"))
    assert store.count("docs") == 3


def test_what_only_a_cluster_has_is_neither_asked_for_nor_a_change(tmp_path):
    store = EdgeVectorStore(tmp_path / "store")
    store.create("docs", replace(SPEC, shards=4, replicas=2, write_consistency=2))
    sidecar = tmp_path / "store" / "collections" / "docs" / "collection.json"
    before = sidecar.stat().st_mtime_ns
    store.create("docs", replace(SPEC, shards=2))
    assert sidecar.stat().st_mtime_ns == before
