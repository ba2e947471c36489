"""One suite for the `SnapshotStore` port: memory, SQLite, PostgreSQL."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipelines_persistence.adapters.memory_snapshots import MemorySnapshotStore
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.snapshots import SqlSnapshotStore
from pipelines_persistence.errors import ConfigurationError, EventRefused
from pipelines_persistence.events import NEVER, START, Cursor, Expected, NewEvent, Snapshot, SnapshotPolicy

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def snapshots(request):
    if request.param == "memory":
        yield MemorySnapshotStore()
        return
    engine = open_database(request.getfixturevalue(f"{request.param}_url"))
    yield SqlSnapshotStore(engine)
    engine.dispose()


def snapshot(version, stream="order-1", aggregate_type="Order", schema_version=1, state=b"{}"):
    return Snapshot(
        stream=stream,
        aggregate_type=aggregate_type,
        schema_version=schema_version,
        version=version,
        cursor=Cursor(1, version * 2**33, version),
        recorded_at=NOON + version * HOUR,
        taken_at=NOON + timedelta(days=9, microseconds=version),
        state=state,
    )


def latest(snapshots, **bounds):
    found = snapshots.latest("order-1", "Order", 1, **bounds)
    return found.version if found else None


def test_a_snapshot_comes_back_whole(snapshots):
    kept = snapshot(7, state=b'{"price": "1.10", "note": "\xc3\xa9"}')
    snapshots.save(kept)
    assert snapshots.latest("order-1", "Order", 1) == kept


def test_the_newest_counts_whatever_the_order_of_saving(snapshots):
    for version in (5, 10, 2):
        snapshots.save(snapshot(version))
    assert latest(snapshots) == 10


def test_stream_type_and_schema_version_are_told_apart(snapshots):
    assert latest(snapshots) is None
    for other in ({"stream": "order-2"}, {"aggregate_type": "Bill"}, {"schema_version": 2}):
        snapshots.save(snapshot(9, **other))
    assert latest(snapshots) is None
    assert snapshots.latest("order-1", "Order", 2).version == 9


def test_the_newest_up_to_a_version_a_place_or_a_moment_is_found(snapshots):
    for version in (3, 6, 9):
        snapshots.save(snapshot(version))
    assert [latest(snapshots, max_version=version) for version in (2, 3, 8, 9)] == [None, 3, 6, 9]
    places = [START, Cursor(1, 3 * 2**33, 3), Cursor(1, 9 * 2**33, 8), Cursor(2, 0, 0)]
    assert [latest(snapshots, as_of=place) for place in places] == [None, 3, 6, 9]
    moments = [NOON, NOON + 3 * HOUR, NOON + 9 * HOUR - timedelta(microseconds=1), NOON + 99 * HOUR]
    zone = timezone(timedelta(hours=-7))
    assert [latest(snapshots, as_of=moment.astimezone(zone)) for moment in moments] == [None, 3, 6, 9]
    assert latest(snapshots, max_version=8, as_of=NOON + 4 * HOUR) == 3


def test_a_naive_moment_is_refused(snapshots):
    with pytest.raises(EventRefused, match="naive"):
        latest(snapshots, as_of=datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose


def test_saving_again_at_the_same_version_replaces(snapshots):
    snapshots.save(snapshot(3, state=b"1"))
    snapshots.save(snapshot(3, state=b"2"))
    assert snapshots.latest("order-1", "Order", 1).state == b"2"
    assert snapshots.delete_all() == 1


def test_a_stream_loses_all_its_snapshots_and_only_its_own(snapshots):
    for kept in (snapshot(1), snapshot(2, schema_version=2), snapshot(3, stream="order-2")):
        snapshots.save(kept)
    assert snapshots.delete("order-1") == 2
    assert snapshots.delete("order-1") == 0
    assert snapshots.latest("order-2", "Order", 1).version == 3
    assert snapshots.delete_all() == 1
    assert snapshots.delete_all() == 0


def test_pruning_keeps_the_newest_of_each_stream_and_what_a_newer_process_has_written(snapshots):
    for version in (1, 2, 3, 4):
        snapshots.save(snapshot(version, schema_version=2))
        snapshots.save(snapshot(version, schema_version=1))
        snapshots.save(snapshot(version, schema_version=3))
        snapshots.save(snapshot(version, aggregate_type="Bill"))
    snapshots.save(snapshot(1, stream="order-2", schema_version=2))
    assert snapshots.prune("Order", 2, keep=2) == 2 + 4
    found = [snapshots.latest("order-1", "Order", 2, max_version=version) for version in (2, 3, 4)]
    assert [one and one.version for one in found] == [None, 3, 4]
    assert snapshots.latest("order-2", "Order", 2).version == 1
    assert snapshots.latest("order-1", "Order", 3).version == 4
    assert snapshots.latest("order-1", "Order", 1) is None
    assert snapshots.prune("Order", 2) == 1
    assert snapshots.prune("Order", 2, keep=0) == 0
    assert snapshots.prune("Bill", 1, keep=9) == 0


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_a_tombstone_takes_the_snapshots_of_its_stream_along_in_one_transaction(name, request):
    engine = open_database(request.getfixturevalue(f"{name}_url"))
    store, snapshots = SqlEventStore(engine), SqlSnapshotStore(engine)
    for stream in ("order-1", "order-2"):
        store.append(stream, [NewEvent("A")], Expected.NO_STREAM)
        snapshots.save(snapshot(1, stream=stream))
    store.tombstone("order-1")
    assert latest(snapshots) is None
    assert snapshots.delete_all() == 1
    store.close()


@pytest.mark.parametrize(
    ("policy", "events", "since", "due"),
    [
        (SnapshotPolicy(every=10), 9, None, False),
        (SnapshotPolicy(every=10), 10, None, True),
        (SnapshotPolicy(every=None, age=HOUR), 1, NOON - HOUR, True),
        (SnapshotPolicy(every=None, age=HOUR), 1, NOON - HOUR / 2, False),
        (SnapshotPolicy(every=None, age=HOUR), 0, NOON - 9 * HOUR, False),
        (SnapshotPolicy(every=None, age=HOUR), 5, None, False),
        (SnapshotPolicy(every=10, age=HOUR), 1, NOON - HOUR, True),
        (NEVER, 10**6, NOON - 999 * HOUR, False),
    ],
)
def test_a_policy_goes_by_the_number_of_events_or_by_age(policy, events, since, due):
    assert policy.is_due(events, since, NOON) is due


@pytest.mark.parametrize("wrong", [{"every": 0}, {"every": -1}, {"age": timedelta()}])
def test_a_policy_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="positive"):
        SnapshotPolicy(**wrong)
