"""What the embedded store says of a collection, where the engine itself says something else."""

import json
from dataclasses import replace

import pytest

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.adapters.qdrant_edge.engine import load_shard, reported_tenants, verify
from pipelines_persistence.errors import StoreError
from tests.contract.points import SPEC, WITH_WORDS, batch_with_words, identifier


@pytest.fixture
def store(tmp_path):
    return EdgeVectorStore(tmp_path / "store")


def test_sparse_vectors_are_not_told_as_dense_ones_in_the_graph(store):
    store.create("docs", WITH_WORDS)
    store.upsert("docs", batch_with_words(range(1, 41)))
    store.delete("docs", [identifier(number) for number in range(1, 6)])
    info = store.info("docs")
    assert (info.points, info.indexed_vectors, info.indexed_share) == (35, 0, 0.0)


def test_the_size_is_what_the_disk_holds_and_not_what_the_files_could(store, tmp_path):
    store.create("docs", SPEC)
    told = store.info("docs").bytes
    apparent = sum(path.stat().st_size for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert 0 < told < apparent / 2


def test_what_the_engine_made_of_words_and_tenants_is_verified(store, tmp_path):
    spec = replace(WITH_WORDS, tenant="document")
    store.create("docs", spec)
    path = tmp_path / "store" / "collections" / "docs" / "shard"
    shard = load_shard(path)
    assert reported_tenants(shard) == {"document"}
    verify(shard, path, spec)
    with pytest.raises(StoreError, match="tenant"):
        verify(shard, path, replace(spec, tenant=""))
    with pytest.raises(StoreError, match="sparse"):
        verify(shard, path, replace(spec, sparse=False))
    config = json.loads((path / "edge_config.json").read_bytes())
    del config["sparse_vectors"]["bm25"]["modifier"]
    (path / "edge_config.json").write_text(json.dumps(config))
    with pytest.raises(StoreError, match="sparse None where 'idf'"):
        verify(shard, path, spec)
    shard.close()
