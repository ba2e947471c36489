"""What every `VectorStore` keeps of snapshots."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.contract.points import SPEC, batch


def test_a_snapshot_is_listed_with_its_size_and_time(store):
    store.create("docs-1", SPEC)
    store.point_alias("docs", "docs-1")
    store.upsert("docs", batch(range(3)))
    assert store.snapshots("docs") == []
    made = store.snapshot("docs")
    assert (made.collection, store.snapshots("docs")) == ("docs-1", [made])
    assert made.bytes > 0
    if made.created_at:
        assert abs(datetime.now(UTC) - made.created_at) < timedelta(hours=1)
    assert store.count("docs") == 3


def test_the_newest_snapshot_comes_first_and_each_can_be_removed(store):
    store.create("docs", SPEC)
    store.create("docs-2", replace(SPEC, dimension=4))
    names = [store.snapshot("docs").name for _ in range(3)]
    store.snapshot("docs-2")
    assert {snapshot.name for snapshot in store.snapshots("docs")} == set(names)
    moments = [snapshot.created_at for snapshot in store.snapshots("docs") if snapshot.created_at]
    assert moments == sorted(moments, reverse=True)
    store.delete_snapshot("docs", names[1])
    store.delete_snapshot("docs", names[1])
    store.delete_snapshot("docs", "../docs-2")
    assert {snapshot.name for snapshot in store.snapshots("docs")} == {names[0], names[2]}
    assert len(store.snapshots("docs-2")) == 1
