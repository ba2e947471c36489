"""One suite for the `EventStore` port: memory, SQLite, PostgreSQL, and personal data sealed over two of them."""

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines_persistence.adapters.aes import AesGcm
from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_subject_keys import MemorySubjectKeys
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.schema import metadata
from pipelines_persistence.errors import ConcurrencyConflict, EventRefused, StreamClosed
from pipelines_persistence.events import (
    ARCHIVED,
    START,
    TOMBSTONED,
    Append,
    Clock,
    Cursor,
    Expected,
    FenceLag,
    Imported,
    NewEvent,
    Partition,
)
from pipelines_persistence.events.personal import CachedKeys, PersonalData, PersonalDataStore

ANY, NO_STREAM, STREAM_EXISTS = Expected.ANY, Expected.NO_STREAM, Expected.STREAM_EXISTS
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SQL = ["sqlite", "postgres"]


@pytest.fixture(params=["memory", *SQL, "sealed memory", "sealed sqlite"])
def store(request):
    *sealed, name = request.param.split()
    if name == "memory":
        store = MemoryEventStore()
    else:
        url = request.getfixturevalue(f"{name}_url")
        store = SqlEventStore(open_database(url))
    if sealed:
        rules = {"Priced": PersonalData("price", ("a", "n")), "A": PersonalData("who", ("email",))}
        store = PersonalDataStore(store, rules, CachedKeys(MemorySubjectKeys()), AesGcm())
    yield store
    store.close()


only_sql = pytest.mark.parametrize("store", SQL, indirect=True)


def new(*names, **fields):
    return [NewEvent(name, **fields) for name in names]


def types(events):
    return [event.type for event in events]


# Append and read


def test_what_was_appended_is_read_back_whole_and_byte_for_byte(store):
    data = b'{ "price": "1.10",\n "b": 1, "a": [1e2, null], "n": 123456789012345678901234567890, "\\u0000": "\xc3\xa9" }'
    zone = timezone(timedelta(hours=5, minutes=30))
    event = NewEvent(
        "Priced",
        data,
        schema_version=3,
        occurred_at=datetime(1969, 7, 20, 20, 17, 40, 123457, tzinfo=zone),
        correlation_id="run 7",
        causation_id=str(uuid4()),
        actor="Zoë",
    )
    before = datetime.now(UTC)
    result = store.append("order-1", [event], NO_STREAM)
    [stored] = store.read("order-1")
    for name in NewEvent.__struct_fields__:
        assert getattr(stored, name) == getattr(event, name), name
    assert (stored.stream, stored.category, stored.version) == ("order-1", "order", 1)
    assert (result.stream, result.version, result.cursor) == ("order-1", 1, stored.cursor)
    assert stored.occurred_at.tzinfo is UTC
    assert before - timedelta(seconds=1) < stored.recorded_at < datetime.now(UTC) + timedelta(seconds=1)


def test_versions_are_dense_from_one_and_positions_rise(store):
    store.append("a-1", new("A", "B"), NO_STREAM)
    store.append("b-1", new("C"), 0)
    result = store.append("a-1", new("D", "E"), 2)
    assert [event.version for event in store.read("a-1")] == [1, 2, 3, 4]
    assert (result.version, store.version("a-1"), store.version("none")) == (4, 4, 0)
    cursors = [event.cursor for event in store.read_all()]
    assert types(store.read_all()) == ["A", "B", "C", "D", "E"]
    assert cursors == sorted(set(cursors))
    assert result.cursor == cursors[-1] == store.head()


def test_a_stream_that_is_not_there_is_empty(store):
    assert list(store.read("none")) == []
    assert list(store.read_all()) == []
    assert store.head() == START


@pytest.mark.parametrize(
    ("expected", "actual"), [(0, 2), (1, 2), (3, 2), (NO_STREAM, 2), (STREAM_EXISTS, 0), (1, 0)]
)
def test_a_stream_at_another_version_than_expected_is_a_conflict_that_names_both(store, expected, actual):
    store.append("a-1", new("A", "B"), ANY)
    stream = "a-1" if actual else "a-2"
    with pytest.raises(ConcurrencyConflict) as conflict:
        store.append(stream, new("C"), expected)
    assert (conflict.value.stream, conflict.value.expected, conflict.value.actual) == (
        stream,
        expected,
        actual,
    )
    assert types(store.read_all()) == ["A", "B"]


def test_an_append_that_expects_what_stands_succeeds(store):
    store.append("a-1", new("A"), ANY)
    store.append("a-1", new("B"), STREAM_EXISTS)
    store.append("a-1", new("C"), 2)
    assert types(store.read("a-1")) == ["A", "B", "C"]


def test_an_append_to_several_streams_is_all_or_nothing(store):
    store.append("b-1", new("B"), NO_STREAM)
    with pytest.raises(ConcurrencyConflict):
        store.append_many([Append("a-1", new("A"), NO_STREAM), Append("b-1", new("C"), NO_STREAM)])
    assert types(store.read_all()) == ["B"]
    results = store.append_many([Append("b-1", new("C", "D"), 1), Append("a-1", new("A"), NO_STREAM)])
    assert [(result.stream, result.version) for result in results] == [("b-1", 3), ("a-1", 1)]
    assert {result.cursor for result in results} == {store.head()}


# Idempotence


@pytest.mark.parametrize("expected", [0, NO_STREAM, ANY])
def test_the_same_append_again_returns_the_first_result_and_adds_nothing(store, expected):
    batch = new("A", "B")
    first = store.append("a-1", batch, expected)
    store.append("a-1", new("C"), 2)
    assert store.append("a-1", batch, expected) == first
    assert types(store.read_all()) == ["A", "B", "C"]


def test_the_same_append_to_several_streams_again_returns_the_first_result(store):
    store.append("b-1", new("X"), NO_STREAM)
    appends = [Append("b-1", new("B"), STREAM_EXISTS), Append("a-1", new("A"), NO_STREAM)]
    first = store.append_many(appends)
    assert store.append_many(appends) == first
    assert len(list(store.read_all())) == 3


def test_the_same_append_again_succeeds_although_the_stream_was_archived_since(store):
    batch = new("A")
    first = store.append("a-1", batch, NO_STREAM)
    store.archive("a-1")
    assert store.append("a-1", batch, NO_STREAM) == first


def test_an_id_that_stands_elsewhere_is_refused_and_nothing_is_written(store):
    first, second = new("A", "B")
    store.append("a-1", [first], ANY)
    for stream, batch, expected in [
        ("b-1", [first], ANY),
        ("a-1", [first, second], ANY),
        ("a-1", [second, first], 1),
        ("a-1", [first], 1),
    ]:
        with pytest.raises(EventRefused, match=first.id):
            store.append(stream, batch, expected)
    assert types(store.read_all()) == ["A"]


def test_what_no_store_could_take_is_refused(store):
    [event] = new("A")
    for appends in [
        [],
        [Append("a-1", [], ANY)],
        [Append("a-1", [event, event], ANY)],
        [Append("a-1", new("A"), ANY), Append("a-1", new("B"), ANY)],
        [Append("", new("A"), ANY)],
        [Append("a\0", new("A"), ANY)],
        [Append("\ud800", new("A"), ANY)],
        [Append("a" * 501, new("A"), ANY)],
        [Append("a-1", new(TOMBSTONED), ANY)],
    ]:
        with pytest.raises(EventRefused):
            store.append_many(appends)
    assert list(store.read_all()) == []


def test_the_longest_stream_id_in_the_widest_letters_is_taken(store):
    stream = "".join(chr(0x10000 + n * 37) for n in range(500))
    store.append(stream, new("A"), NO_STREAM)
    assert store.version(stream) == 1


# Ranges, as of, filters


def test_a_stream_is_read_between_versions_in_both_directions(store):
    store.append("a-1", new(*"ABCDE"), ANY)
    assert types(store.read("a-1", 2, 4)) == ["B", "C", "D"]
    assert types(store.read("a-1", 4)) == ["D", "E"]
    assert types(store.read("a-1", 2, 4, backwards=True)) == ["D", "C", "B"]
    assert types(store.read("a-1", 5, 4)) == types(store.read("a-1", 1, 0)) == []


def test_a_stream_as_of_a_recorded_moment_is_the_prefix_that_was_known_then(store):
    for name in "ABC":
        store.append("a-1", new(name, occurred_at=NOON), ANY)
        time.sleep(0.002)
    moments = [event.recorded_at for event in store.read("a-1")]
    assert types(store.read("a-1", as_of=moments[1])) == ["A", "B"]
    assert types(store.read("a-1", as_of=moments[1], backwards=True)) == ["B", "A"]
    assert types(store.read("a-1", as_of=moments[0] - timedelta(microseconds=1))) == []


def test_a_stream_as_of_an_occurred_moment_holds_what_had_happened_though_it_was_learned_later(store):
    for name, hours in [("A", 0), ("B", 2), ("Late", 1)]:
        store.append("a-1", new(name, occurred_at=NOON + timedelta(hours=hours)), ANY)
    as_of = (NOON + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-7)))
    assert types(store.read("a-1", as_of=as_of, clock=Clock.OCCURRED)) == ["A", "Late"]


def test_a_stream_as_of_a_place_in_the_log_is_the_prefix_up_to_there(store):
    store.append("a-1", new("A"), ANY)
    place = store.append("b-1", new("B"), ANY).cursor
    store.append("a-1", new("C"), ANY)
    assert types(store.read("a-1", as_of=place)) == ["A"]
    assert types(store.read("a-1", as_of=START)) == []


def test_a_naive_moment_is_refused(store):
    with pytest.raises(EventRefused, match="naive"):
        list(store.read("a-1", as_of=datetime(2026, 1, 1)))  # noqa: DTZ001 - naive on purpose


@only_sql
def test_recorded_times_of_a_stream_never_run_backwards_though_the_clock_does(store):
    store.append("a-1", new("A"), ANY)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    with store._work.engine.begin() as connection:
        connection.execute(metadata.tables["events"].update().values(recorded_at=ahead))
    store.append("a-1", new("B"), ANY)
    store.import_events([("a-1", event) for event in new("C")])
    assert [event.recorded_at for event in store.read("a-1")] == [ahead] * 3


def test_the_log_is_read_in_ranges_filters_and_both_directions(store):
    for stream, name in [("a-1", "A"), ("b-1", "B"), ("a-2", "B"), ("a", "C"), ("ab-1", "A")]:
        store.append(stream, new(name), ANY)
    whole = list(store.read_all())
    second, fourth = whole[1].cursor, whole[3].cursor
    assert list(store.read_all(second)) == whole[2:]
    assert list(store.read_all(second, until=fourth)) == whole[2:4]
    assert list(store.read_all(second, until=fourth, backwards=True)) == whole[3:1:-1]
    assert [event.stream for event in store.read_all(categories=["a"])] == ["a-1", "a-2", "a"]
    assert [event.stream for event in store.read_all(categories=["a", "b"], types={"B"})] == ["b-1", "a-2"]
    assert [event.stream for event in store.read_all(types=["A"], backwards=True)] == ["ab-1", "a-1"]


def test_batches_cover_the_log_without_a_gap_and_their_cursor_passes_over_what_was_not_asked_for(store):
    for number in range(7):
        store.append(f"a-{number}", new("A" if number % 2 else "B"), ANY)
    batches = list(store.batches(limit=3))
    assert [len(batch.events) for batch in batches] == [3, 3, 1]
    assert [event for batch in batches for event in batch.events] == list(store.read_all())
    [first, *_] = store.batches(types=["A"], limit=2)
    assert types(store.read_all(first.cursor, types=["A"])) == ["A"]
    *_, last = store.batches(types=["A"], limit=2)
    assert list(store.batches(last.cursor, types=["A"])) == []
    store.append("c-1", new("A"), ANY)
    assert [event.stream for batch in store.batches(last.cursor, types=["A"]) for event in batch.events] == [
        "c-1"
    ]


def test_events_are_counted_as_they_are_read_and_no_further_than_asked(store):
    store.append("a-1", new("A", "B", "A"), NO_STREAM)
    middle = store.append("b-1", new("A"), NO_STREAM).cursor
    store.append("a-1", new("B"), ANY)
    assert (store.count(), store.count(most=2), store.count(middle), store.count(until=middle)) == (
        5,
        2,
        1,
        4,
    )
    assert (store.count(types=["A"]), store.count(categories=["b"]), store.count(types=["C"])) == (3, 1, 0)


def test_each_stream_is_in_exactly_one_partition_and_its_events_keep_their_order(store):
    for name in ("a", "b", "é", "a-1", "x" * 500, "日本-7"):
        store.append(name, new("A", "B"), NO_STREAM)
    shares = [
        [
            (event.stream, event.version)
            for batch in store.batches(partition=Partition(index, 3))
            for event in batch.events
        ]
        for index in range(3)
    ]
    assert sorted(place for share in shares for place in share) == sorted(
        (event.stream, event.version) for event in store.read_all()
    )
    assert all(Partition(index, 3).holds(stream) for index in range(3) for stream, _ in shares[index])
    assert all(
        share == sorted(share, key=lambda place: (share.index((place[0], 1)), place[1])) for share in shares
    )


@pytest.mark.parametrize(("index", "of"), [(0, 0), (2, 2), (-1, 2), (0, 257)])
def test_a_partition_that_would_hold_nothing_is_refused(index, of):
    with pytest.raises(EventRefused):
        Partition(index, of)


def test_streams_and_the_log_are_walked_over_many_pages_in_both_directions(store):
    store.import_events((f"a-{number % 2}", event) for number, event in enumerate(new(*["A"] * 4500)))
    assert [event.version for event in store.read("a-1")] == list(range(1, 2251))
    assert [event.version for event in store.read("a-1", backwards=True)] == list(range(2250, 0, -1))
    forwards = [event.cursor for event in store.read_all()]
    assert len(forwards) == 4500
    assert [event.cursor for event in store.read_all(backwards=True)] == forwards[::-1]


# Import


def test_an_import_appends_in_order_and_numbers_each_stream(store):
    store.append("a-1", new("A"), ANY)
    pairs = [("a-1", event) for event in new("B", "C")] + [("b-1", event) for event in new("D")]
    assert store.import_events(iter(pairs)) == Imported(read=3, appended=3, streams=2)
    assert types(store.read_all()) == ["A", "B", "C", "D"]
    assert [event.version for event in store.read("a-1")] == [1, 2, 3]


def test_half_an_import_and_then_all_of_it_leaves_each_event_once_in_its_place(store):
    pairs = [(f"a-{number % 3}", event) for number, event in enumerate(new(*map(str, range(10))))]
    store.import_events(pairs[:5])
    assert store.import_events([*pairs, pairs[7]]) == Imported(read=11, appended=5, duplicates=6, streams=3)
    assert types(store.read_all()) == [str(number) for number in range(10)]
    assert store.import_events([]) == Imported()


def test_an_event_that_comes_twice_in_one_import_keeps_its_first_place(store):
    first, second = new("A", "B")
    store.import_events([("a-1", first), ("a-1", second), ("a-1", first)])
    assert types(store.read("a-1")) == ["A", "B"]


def test_an_import_never_revives_a_closed_stream(store):
    pairs = [(stream, event) for stream in ("a-1", "b-1", "c-1") for event in new("A")]
    store.import_events(pairs)
    store.tombstone("a-1")
    store.archive("b-1")
    assert store.import_events(pairs) == Imported(read=3, duplicates=2, refused=1)
    assert store.import_events(pairs[1:2]) == Imported(read=1, duplicates=1)
    assert types(store.read("a-1")) == [TOMBSTONED]


def test_an_import_of_what_is_malformed_is_refused(store):
    with pytest.raises(EventRefused):
        store.import_events([("a-1", NewEvent("$x"))])
    with pytest.raises(EventRefused):
        store.import_events([("", NewEvent("A"))])


# Archive and tombstone


def test_an_archived_stream_is_closed_and_stays_readable(store):
    store.append("a-1", new("A"), ANY)
    result = store.archive("a-1", 1, actor="me")
    assert types(store.read("a-1")) == types(store.read_all()) == ["A", ARCHIVED]
    assert store.archive("a-1") == result
    with pytest.raises(StreamClosed, match="archived"):
        store.append("a-1", new("B"), ANY)


def test_a_tombstoned_stream_leaves_one_event_and_is_closed_for_good(store):
    store.append("a-1", new("A", "B"), ANY)
    store.append("b-1", new("C"), ANY)
    result = store.tombstone("a-1", 2, actor="me")
    [left] = store.read("a-1")
    assert (left.type, left.version, left.actor) == (TOMBSTONED, 3, "me")
    assert types(store.read_all()) == ["C", TOMBSTONED]
    assert store.tombstone("a-1") == result
    for again in [lambda: store.append("a-1", new("B"), ANY), lambda: store.archive("a-1")]:
        with pytest.raises(StreamClosed, match="tombstoned"):
            again()


def test_an_archived_stream_can_still_be_tombstoned(store):
    store.append("a-1", new("A"), ANY)
    store.archive("a-1")
    assert store.tombstone("a-1").version == 3
    assert types(store.read_all()) == [TOMBSTONED]


def test_only_a_stream_that_is_as_expected_is_closed(store):
    for close in (store.archive, store.tombstone):
        with pytest.raises(ConcurrencyConflict):
            close("none")
    store.append("a-1", new("A"), ANY)
    with pytest.raises(ConcurrencyConflict):
        store.tombstone("a-1", 5)
    assert types(store.read("a-1")) == ["A"]


def test_a_position_is_never_used_twice(store):
    store.append("a-1", new("A"), ANY)
    last = store.tombstone("a-1").cursor
    if isinstance(store, SqlEventStore):
        with store._work.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM events"))  # as a restore of a part would
    assert store.append("b-1", new("B"), ANY).cursor > last


# Subscriptions


def collect(store, into, stop, **options):
    def run():
        for batch in store.subscribe(stop=stop, **options):
            into.extend(batch.events)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_subscription_gives_what_is_there_and_what_comes_and_stops_promptly(store):
    place = store.append("a-1", new("A", "B"), ANY).cursor
    store.append("a-1", new("C"), ANY)
    seen, stop = [], threading.Event()
    thread = collect(store, seen, stop, after=place, poll=0.2)
    wait_for(lambda: len(seen) == 1)
    for name in "DE":
        store.append("a-1", new(name), ANY)
        wait_for(lambda: types(seen)[-1] == name)  # noqa: B023 - called at once
    stop.set()
    started = time.monotonic()
    thread.join()
    assert time.monotonic() - started < 1
    assert types(seen) == ["C", "D", "E"]


def test_a_subscription_stops_promptly_however_long_it_would_wait(store):
    stop = threading.Event()
    thread = collect(store, [], stop, poll=3600)
    time.sleep(0.2)
    stop.set()
    thread.join(timeout=2)
    assert not thread.is_alive()


def test_a_subscription_gives_only_what_was_asked_for(store):
    seen, stop = [], threading.Event()
    thread = collect(store, seen, stop, types=["B"], categories=["a"], poll=0.05)
    for stream, name in [("a-1", "A"), ("a-1", "B"), ("b-1", "B"), ("a-2", "B")]:
        store.append(stream, new(name), ANY)
    wait_for(lambda: len(seen) == 2)
    stop.set()
    thread.join()
    assert [event.stream for event in seen] == ["a-1", "a-2"]


def test_nothing_is_held_back_when_nobody_writes(store):
    store.append("a-1", new("A"), ANY)
    assert store.fence_lag() == FenceLag()


# Laws


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(1, 3),
            st.sampled_from([0, 1, 2, 3, 5, *Expected]),
            st.booleans(),
        ),
        max_size=12,
    )
)
@pytest.mark.parametrize("store", SQL, indirect=True)
def test_a_database_decides_every_history_of_appends_as_memory_does(store, history):
    twin, salt, last = MemoryEventStore(), uuid4().hex, None
    for stream, size, expected, is_repeat in history:
        call = last if is_repeat and last else (f"{stream}-{salt}", new(*"E" * size), expected)
        last = call
        outcomes = [_outcome(one, call) for one in (store, twin)]
        assert outcomes[0] == outcomes[1]
    for stream in "abc":
        ids = [[event.id for event in one.read(f"{stream}-{salt}")] for one in (store, twin)]
        assert ids[0] == ids[1]


def _outcome(store, call):
    try:
        return store.append(*call).version
    except (ConcurrencyConflict, EventRefused) as error:
        return type(error), str(error)


@only_sql
def test_the_migrations_make_exactly_the_tables_of_the_schema_on_every_database(store):
    with store._work.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []


def test_a_cursor_survives_as_text(store):
    cursor = store.append("a-1", new("A"), ANY).cursor
    assert Cursor.parse(str(cursor)) == cursor
