"""What goes wrong with an event log on PostgreSQL, made to happen: each test fails without its technique."""

import multiprocessing
import os
import random
import threading
import time
from collections import Counter, defaultdict

import pytest
import sqlalchemy as sa

from pipelines_persistence.adapters.sql import event_import
from pipelines_persistence.adapters.sql.database import HEAD, open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.errors import (
    ConcurrencyConflict,
    ConfigurationError,
    DatabaseUnavailable,
    StorageError,
)
from pipelines_persistence.events import START, Append, Expected, NewEvent

ANY = Expected.ANY
WRITERS = 6


@pytest.fixture
def open_store(postgres_url):
    stores = []

    def open_one():
        stores.append(SqlEventStore(open_database(postgres_url)))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def raw(postgres_url):
    engine = sa.create_engine(postgres_url)
    yield engine
    engine.dispose()


def in_threads(function, count):
    errors = []

    def run(number):
        try:
            function(number)
        except BaseException as error:  # noqa: BLE001 - shown to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def slow_commits(engine):
    """Let some transactions wait between their insert and their commit, as a busy server or a network would."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN IF random() < 0.05 THEN PERFORM pg_sleep(0.004); END IF; RETURN NULL; END$$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )


def naive_tail(engine, into, stop):
    """What most event stores do: remember the last position."""
    last = 0
    page = sa.text("SELECT position, id::text FROM events WHERE position > :last ORDER BY position")
    while True:
        is_last = stop.is_set()
        with engine.connect() as connection:
            rows = connection.execute(page, {"last": last}).all()
        into.extend(row.id for row in rows)
        last = rows[-1].position if rows else last
        if is_last:
            return


def test_a_tail_misses_nothing_beside_six_writers_where_a_naive_one_does(open_store, raw):
    slow_commits(raw)
    rounds, written = 500, [[] for _ in range(WRITERS)]  # 43,200 events
    seen, naive, stop = [], [], threading.Event()

    def follow():
        for batch in open_store().subscribe(stop=stop, poll=0.05):
            seen.extend(batch.events)

    def write(number):
        store, dice = open_store(), random.Random(number)
        for step in range(rounds):
            own = [NewEvent(name) for name in "ABABABABAB"]
            shared = [NewEvent("C") for _ in range(4)]
            store.append_many(
                [
                    Append(f"own-{number}-{step % 10}", own, ANY),
                    Append(f"shared-{dice.randrange(12)}", shared, ANY),
                ]
            )
            written[number].extend(event.id for event in own + shared)
        store.import_events((f"shared-{n % 12}", event) for n, event in enumerate(map(NewEvent, "D" * 200)))

    tails = [
        threading.Thread(target=follow),
        threading.Thread(target=naive_tail, args=(raw, naive, stop)),
    ]
    for tail in tails:
        tail.start()
    in_threads(write, WRITERS)
    total = WRITERS * (rounds * 14 + 200)
    wait_for(lambda: len(seen) >= total, 60)
    stop.set()
    for tail in tails:
        tail.join()

    assert len(naive) < total, "the naive reader missed nothing: this test could not fail"
    assert len(seen) == total
    counts = Counter(event.id for event in seen)
    assert set(counts.values()) == {1}
    assert counts.keys() >= {one for ids in written for one in ids}
    streams = defaultdict(list)
    for event in seen:
        streams[event.stream].append(event.version)
    assert all(versions == list(range(1, len(versions) + 1)) for versions in streams.values())
    cursors = [event.cursor for event in seen]
    assert cursors == sorted(cursors)


def test_an_open_transaction_holds_back_what_came_after_it_and_the_lag_says_so(store, raw):
    with raw.connect() as connection:
        connection.exec_driver_sql("SELECT pg_current_xact_id()")
        appended = store.append("a-1", [NewEvent("A")], ANY)
        time.sleep(0.01)
        lag = store.fence_lag()
        assert (lag.events, lag.transactions >= 1, lag.seconds >= 0.01) == (1, True, True)
        assert list(store.read_all()) == []
        assert store.head() == START
        assert [event.type for event in store.read("a-1")] == ["A"]
    assert store.head() == appended.cursor
    assert store.fence_lag().events == 0


def test_a_transaction_that_is_rolled_back_leaves_no_hole_that_anyone_waits_for(store, raw):
    with raw.connect() as connection:
        connection.exec_driver_sql("SELECT nextval('events_position_seq') FROM generate_series(1, 100)")
    store.append("a-1", [NewEvent("A")], ANY)
    assert len(list(store.read_all())) == 1


def test_writers_that_expect_a_version_lose_no_update(store):
    done, conflicts = [], []

    def increment(_):
        for _ in range(20):
            while True:
                version = store.version("counter-1")
                try:
                    store.append("counter-1", [NewEvent("Added")], version)
                except ConcurrencyConflict as conflict:
                    conflicts.append((version, conflict.expected, conflict.actual))
                else:
                    done.append(version)
                    break

    in_threads(increment, WRITERS)
    assert sorted(done) == list(range(20 * WRITERS))
    assert all(version == expected < actual for version, expected, actual in conflicts)


def test_a_deadlock_runs_the_whole_unit_of_work_again(store, raw):
    pauses = []
    store._work._sleep = pauses.append
    insert = (
        "INSERT INTO events (epoch, transaction_id, stream, category, version, id, type, data, schema_version, "
        "occurred_at, recorded_at) SELECT 1, pg_current_xact_id()::text::bigint, %s, 'x', 1, gen_random_uuid(), "
        "'X', '{}', 1, 0, 0"
    )
    appends = [Append("a-1", [NewEvent("A")], ANY), Append("b-1", [NewEvent("B")], ANY)]
    results = []
    with raw.connect() as other:
        other.exec_driver_sql(insert, ("b-1",))
        thread = threading.Thread(target=lambda: results.extend(store.append_many(appends)))
        thread.start()  # it writes a-1, then waits for b-1
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_for(lambda: other.exec_driver_sql(waiting).scalar())
        other.exec_driver_sql(insert, ("a-1",))  # which waits for a-1
        other.commit()
        thread.join()
    assert [result.version for result in results] == [2, 2]
    assert pauses


def test_ids_that_begin_anew_after_a_restore_open_an_epoch_and_order_and_fence_hold(open_store, raw):
    store = open_store()
    place = store.append("a-1", [NewEvent("Before")], ANY).cursor
    with raw.begin() as connection:
        # As a dump from a server that had lived longer: its transaction ids lie in the future of this one.
        connection.exec_driver_sql("UPDATE events SET transaction_id = transaction_id + 1000000000")
        connection.exec_driver_sql("UPDATE event_epochs SET identity = 'another server/1/1'")
    restored = open_store()
    [before] = restored.read_all()
    assert before.cursor > place
    after = restored.append("a-1", [NewEvent("After")], 1).cursor
    assert after > before.cursor
    assert [event.type for event in restored.read_all(before.cursor)] == ["After"]
    assert [event.type for event in restored.read_all(backwards=True)] == ["After", "Before"]
    open_store()
    with raw.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event_epochs").scalar() == 2


def test_a_fail_over_is_noticed_by_the_first_connection_that_comes_back(store, raw):
    store.append("a-1", [NewEvent("A")], ANY)
    with raw.begin() as connection:
        connection.exec_driver_sql("UPDATE event_epochs SET identity = 'the lost primary/1/1'")
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(DatabaseUnavailable):
        store.version("a-1")
    assert store.append("a-1", [NewEvent("B")], 1).cursor.epoch == 2
    assert [event.cursor.epoch for event in store.read_all()] == [1, 2]


def test_an_import_that_goes_on_after_a_fail_over_numbers_from_what_was_left(store, raw, monkeypatch):
    monkeypatch.setattr(event_import, "_MOST_EVENTS", 10)

    def pairs():
        for number in range(20):
            if number == 10:
                # The standby that took over never heard of the first batch, and no statement is there to notice.
                with raw.begin() as connection:
                    connection.exec_driver_sql("DELETE FROM events")
                    connection.exec_driver_sql("UPDATE event_epochs SET identity = 'the lost primary/1/1'")
                store._work.engine.dispose()
            yield "a-1", NewEvent("A")

    store.import_events(pairs())
    assert [event.version for event in store.read("a-1")] == list(range(1, 11))


def test_an_import_leaves_no_statistics_that_take_the_log_for_small(store, raw):
    store.append("a-1", [NewEvent("A")], ANY)
    with raw.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE events")
    # By a plan that was made for one event, each of these streams would cost a walk of the whole log.
    store.import_events((f"a-{number}", NewEvent("A")) for number in range(2000))
    with raw.connect() as connection:
        known = connection.exec_driver_sql("SELECT reltuples FROM pg_class WHERE relname = 'events'").scalar()
    assert known == 2001


def _append_after(url, ready, count):
    store = SqlEventStore(open_database(url))
    ready.wait()
    for _ in range(count):
        store.append(f"other-{os.getpid()}", [NewEvent("A")], ANY)
    store.close()


def test_a_subscription_sees_other_processes_and_stops_promptly(open_store, postgres_url):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_append_after, args=(postgres_url, ready, 10))
    process.start()
    seen, stop = [], threading.Event()

    def follow():
        for batch in open_store().subscribe(stop=stop, poll=3600):
            seen.extend(batch.events)

    thread = threading.Thread(target=follow)
    thread.start()
    time.sleep(0.5)
    ready.set()
    wait_for(lambda: len(seen) == 10)
    stop.set()
    started = time.monotonic()
    thread.join()
    process.join()
    assert time.monotonic() - started < 2
    assert [event.version for event in seen] == list(range(1, 11))


def test_an_append_wakes_who_waits(open_store):
    waiter = open_store()._backend.waiter()
    assert not waiter.wait(0.05)
    open_store().append("a-1", [NewEvent("A")], ANY)
    assert waiter.wait(20)
    waiter.close()


def test_stores_that_meet_a_server_for_the_first_time_at_once_open_one_epoch(postgres_url, raw):
    engines, barrier = [open_database(postgres_url) for _ in range(8)], threading.Barrier(8)
    for engine in engines:
        engine.connect().close()

    def meet(number):
        barrier.wait()
        SqlEventStore(engines[number]).close()

    in_threads(meet, 8)
    with raw.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event_epochs").scalar() == 1


def test_imports_of_the_same_events_at_once_leave_each_once(open_store):
    pairs = [(f"a-{number % 7}", NewEvent("A")) for number in range(3000)]
    stores = [open_store() for _ in range(4)]
    results = [None] * 4

    def load(number):
        mine = pairs if number % 2 else pairs[::-1]
        results[number] = stores[number].import_events(mine)

    in_threads(load, 4)
    assert sum(result.appended for result in results) == 3000
    assert len({event.id for event in stores[0].read_all()}) == len(list(stores[0].read_all())) == 3000


def test_stores_that_bootstrap_at_once_all_succeed(postgres):
    server = sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE bootstrap")
    url = postgres.replace("/postgres", "/bootstrap")

    def boot(number):
        store = SqlEventStore(open_database(url))
        store.append(f"a-{number}", [NewEvent("A")], 0)
        store.close()

    in_threads(boot, 4)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [HEAD]
        assert connection.exec_driver_sql("SELECT count(*) FROM event_epochs").scalar() == 1
    engine.dispose()
    with server.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE bootstrap")


def test_an_announcement_that_fails_does_not_make_the_append_fail(store):
    store._backend._engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nowhere")
    assert store.append("a-1", [NewEvent("A")], ANY).version == 1
    assert len(list(store.read_all())) == 1


def test_a_server_that_is_away_is_transient_and_a_table_that_is_gone_is_not(store, raw):
    away = SqlEventStore.__new__(SqlEventStore)
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        away.__init__(sa.create_engine("postgresql+psycopg://me:secret@127.0.0.1:1/nowhere"))
    with raw.begin() as connection:
        connection.exec_driver_sql("DROP TABLE events")
    with pytest.raises(StorageError, match="failed") as error:
        store.append("a-1", [NewEvent("A")], ANY)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["mysql://me@there/db", "postgresql+psycopg2://me@there/db", "no url"])
def test_an_unusable_url_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError):
        open_database(url)
