"""Copies of embedded collections: whole, sparse on disk, and good for something."""

import shutil

import pytest

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.adapters.qdrant_edge.files import copy_folder, size_on_disk
from pipelines_persistence.errors import IndexNotFound, StoreError
from pipelines_persistence.ports import Query
from pipelines_persistence.records import SparseVector
from tests.contract.points import WITH_WORDS, batch_with_words, identifier, numbers


@pytest.fixture
def store(tmp_path):
    store = EdgeVectorStore(tmp_path / "store")
    store.create("docs", WITH_WORDS)
    store.upsert("docs", batch_with_words(range(1, 21)))
    return store


def folder(tmp_path, snapshot):
    return tmp_path / "store" / "snapshots" / snapshot.collection / snapshot.name


def test_a_snapshot_moved_into_place_is_the_collection_as_it_was(store, tmp_path):
    snapshot = store.snapshot("docs")
    store.delete("docs", [identifier(number) for number in range(1, 11)])
    store.upsert("docs", batch_with_words([99]))
    other = EdgeVectorStore(tmp_path / "other")
    shutil.copytree(folder(tmp_path, snapshot), tmp_path / "other" / "collections" / "docs")
    assert numbers(other.scroll("docs")) == list(range(1, 21))
    assert numbers(other.search("docs", Query(sparse=SparseVector([6], [1.0])))) != []
    other.upsert("docs", batch_with_words([42]))
    assert (other.count("docs"), store.count("docs")) == (21, 11)


def test_a_snapshot_inside_a_session_has_what_was_written_and_the_session_goes_on(store, tmp_path):
    with store.session("docs"):
        store.upsert("docs", batch_with_words([21]))
        snapshot = store.snapshot("docs")
        store.upsert("docs", batch_with_words([22]))
        assert store.count("docs") == 22
    other = EdgeVectorStore(tmp_path / "other")
    shutil.copytree(folder(tmp_path, snapshot), tmp_path / "other" / "collections" / "docs")
    assert other.count("docs") == 21


def test_snapshots_outlive_their_collection(store):
    made = store.snapshot("docs")
    store.drop("docs")
    assert store.snapshots("docs") == [made]
    store.delete_snapshot("docs", made.name)
    assert store.snapshots("docs") == []


def test_a_name_that_leaves_the_folder_removes_nothing(store, tmp_path):
    (tmp_path / "store" / "precious").mkdir()
    store.snapshot("docs")
    for name in ("../../precious", "/", ".", "..", "", "*"):
        store.delete_snapshot("docs", name)
    assert (tmp_path / "store" / "precious").exists()
    assert len(store.snapshots("docs")) == 1
    with pytest.raises(StoreError):
        store.snapshots("../docs")
    with pytest.raises(IndexNotFound):
        store.snapshots("precious")


def test_what_a_crash_left_of_a_copy_is_no_snapshot(store, tmp_path):
    made = store.snapshot("docs")
    (folder(tmp_path, made).parent / ".0123456789abcdef").mkdir()
    assert store.snapshots("docs") == [made]


def test_a_copy_has_the_same_bytes_and_the_same_holes(tmp_path):
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "empty").write_bytes(b"")
    with (source / "inner" / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(40 * 2**20)
        file.write(b"middle" * 300_000)
        file.truncate(64 * 2**20)
    copy_folder(source, tmp_path / "target")
    for name in ("empty", "inner/sparse"):
        assert (tmp_path / "target" / name).read_bytes() == (source / name).read_bytes()
    assert size_on_disk(tmp_path / "target") < 8 * 2**20
