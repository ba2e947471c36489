"""What a crash can leave behind in the embedded store's folder, and damage that is not a crash's."""

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.errors import IndexNotFound, StorageError, StoreError
from pipelines_persistence.records import CollectionSpec, Points

SPEC = CollectionSpec(dimension=4, payload_indexes={"document": "keyword"})
ID = "00000000-0000-0000-0000-000000000001"
POINT = Points([ID], np.ones((1, 4), np.float32), [{"document": "a.md"}])


@pytest.fixture
def store(tmp_path):
    return EdgeVectorStore(tmp_path, lock_timeout=5)


def test_importing_the_package_loads_neither_the_engine_nor_numpy():
    code = (
        "import sys, pipelines_persistence.adapters.qdrant_edge;"
        "print({'qdrant_edge', 'numpy', 'qdrant_client', 'pydantic', 'dagster'} & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"


@pytest.mark.parametrize("left", ["nothing", "an empty shard", "a whole shard"])
def test_a_collection_without_its_sidecar_is_none_and_is_made_anew(store, tmp_path, left):
    store.create("docs", SPEC)
    store.upsert("docs", POINT)
    (tmp_path / "collections/docs/collection.json").unlink()
    if left != "a whole shard":
        shutil.rmtree(tmp_path / "collections/docs/shard")
    if left == "an empty shard":
        (tmp_path / "collections/docs/shard").mkdir()
    assert store.collections() == []
    with pytest.raises(IndexNotFound):
        store.count("docs")
    store.create("docs", SPEC)
    assert store.count("docs") == 0


def test_a_change_that_a_crash_interrupted_is_finished_by_the_next_create(store, tmp_path):
    store.create("docs", SPEC)
    store.upsert("docs", POINT)
    sidecar = tmp_path / "collections/docs/collection.json"
    content = json.loads(sidecar.read_text())
    content["spec"]["payload_indexes"] = {"other": "integer"}
    sidecar.write_text(json.dumps({**content, "applied": False}))
    changed = replace(SPEC, payload_indexes={"other": "integer"})
    store.create("docs", changed)
    assert store.info("docs").payload_indexes == {"other": "integer"}
    assert json.loads(sidecar.read_text())["applied"] is True
    assert store.count("docs") == 1


def test_what_an_interrupted_drop_left_is_swept_by_the_next_one(store, tmp_path):
    store.create("docs", SPEC)
    (tmp_path / "trash").mkdir(exist_ok=True)
    (tmp_path / "collections/docs").rename(tmp_path / "trash/docs.0")
    assert store.collections() == []
    store.drop("docs")
    assert not (tmp_path / "trash").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"aliases": {"a": 1}}', "\0\0"])
def test_a_damaged_registry_is_named_and_never_taken_for_an_empty_one(store, tmp_path, content):
    store.create("docs", SPEC)
    (tmp_path / "registry.json").write_text(content)
    for call in (store.aliases, lambda: store.count("docs"), lambda: store.point_alias("a", "docs")):
        with pytest.raises(StoreError, match=r"registry\.json is damaged"):
            call()


def test_an_unreadable_registry_is_a_storage_error(store, tmp_path):
    (tmp_path / "registry.json").mkdir()
    with pytest.raises(StorageError, match=r"registry\.json"):
        store.aliases()


def test_a_damaged_sidecar_is_named(store, tmp_path):
    store.create("docs", SPEC)
    (tmp_path / "collections/docs/collection.json").write_text('{"spec": {"dimension": "four"}}')
    with pytest.raises(StoreError, match=r"collection\.json is damaged"):
        store.count("docs")


def test_a_damaged_shard_is_a_store_error_that_names_the_collection(store, tmp_path):
    store.create("docs", SPEC)
    shutil.rmtree(tmp_path / "collections/docs/shard")
    with pytest.raises(StoreError, match="'docs'"):
        store.count("docs")
    store.drop("docs")
    store.create("docs", SPEC)
    assert store.count("docs") == 0


def test_the_engine_writes_down_the_tuning_it_was_given(store, tmp_path):
    store.create("docs", replace(SPEC, quantization="int8", on_disk=True))
    written = json.loads((tmp_path / "collections/docs/shard/edge_config.json").read_text())
    assert written["vectors"]["dense"]["quantization_config"]["scalar"]["type"] == "int8"
    store.create("docs", SPEC)
    written = json.loads((tmp_path / "collections/docs/shard/edge_config.json").read_text())
    assert "quantization_config" not in written["vectors"]["dense"]


# Sessions


def test_a_session_opens_the_collection_once_for_many_calls(store):
    store.create("docs", SPEC)
    with store.session("docs"):
        store.upsert("docs", POINT)
        handle = store._access.handle("docs")
        opened = handle._shard
        assert store.count("docs") == 1
        assert handle._shard is opened is not None
    assert handle._shard is None


def test_all_threads_share_the_shard_of_a_session(store):
    store.create("docs", SPEC)
    counts = []
    with store.session("docs"), store.session("docs"):
        store.upsert("docs", POINT)
        threads = [threading.Thread(target=lambda: counts.append(store.count("docs"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [1] * 4


def test_a_session_gives_way_to_another_store_that_waits(store, tmp_path):
    store.create("docs", SPEC)
    other, counts = EdgeVectorStore(tmp_path, lock_timeout=20), []
    with store.session("docs"):
        store.upsert("docs", POINT)
        thread = threading.Thread(target=lambda: counts.append(other.count("docs")))
        thread.start()
        while thread.is_alive():
            store.count("docs")
        assert store.count("docs") == 1
    assert counts == [1]


def test_collections_and_aliases_may_change_in_a_session(store):
    store.create("docs", SPEC)
    with store.session("docs"):
        store.upsert("docs", POINT)
        store.point_alias("alias", "docs")
        store.create("docs", replace(SPEC, payload_indexes={}))
        store.create("other", SPEC)
        store.drop("other")
        assert store.count("alias") == 1


def test_optimizing_keeps_every_point_and_is_done_only_once(store):
    store.create("docs", replace(SPEC, quantization="int8"))
    ids = [f"00000000-0000-0000-0000-{number:012}" for number in range(2000)]
    vectors = np.random.default_rng(0).standard_normal((2000, 4)).astype(np.float32)
    store.upsert("docs", Points(ids, vectors, [{}] * 2000))
    store.delete("docs", ids[500:])
    store.optimize("docs")
    assert store.optimize("docs") is False
    assert [point.id for point in store.scroll("docs")] == ids[:500]
