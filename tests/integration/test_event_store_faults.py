"""What goes wrong with an event log on either database: rivals, lost acknowledgements, processes, memory."""

import multiprocessing
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines_persistence.adapters.sql import event_import
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.errors import ConcurrencyConflict, DatabaseUnavailable
from pipelines_persistence.events import Append, Expected, NewEvent

ANY = Expected.ANY
MEGABYTE = 2**20


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def store(url):
    store = SqlEventStore(open_database(url))
    yield store
    store.close()


def increment(url, name, count):
    """Append to a stream of one's own, blindly, and to a common one, at the version that was read."""
    store = SqlEventStore(open_database(url))
    for _ in range(count):
        store.append(f"own-{name}", [NewEvent("A"), NewEvent("B")], ANY)
        while True:
            try:
                store.append("common-1", [NewEvent("C", actor=name)], store.version("common-1"))
            except ConcurrencyConflict:
                continue
            break
    store.close()


def test_six_threads_and_four_processes_append_on_sqlite_without_error_or_lost_update(sqlite_url):
    count, context = 20, multiprocessing.get_context("spawn")
    processes = [context.Process(target=increment, args=(sqlite_url, f"p{n}", count)) for n in range(4)]
    errors = []

    def run(name):
        try:
            increment(sqlite_url, name, count)
        except BaseException as error:  # noqa: BLE001 - shown to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(f"t{n}",)) for n in range(6)]
    for worker in processes + threads:
        worker.start()
    for worker in processes + threads:
        worker.join()
    assert errors == []
    assert [process.exitcode for process in processes] == [0] * 4
    store = SqlEventStore(open_database(sqlite_url))
    assert [event.version for event in store.read("common-1")] == list(range(1, 10 * count + 1))
    assert len({event.id for event in store.read_all()}) == 10 * count * 3
    for name in [f"p{n}" for n in range(4)] + [f"t{n}" for n in range(6)]:
        assert [event.version for event in store.read(f"own-{name}")] == list(range(1, 2 * count + 1))
    store.close()


def lose_acknowledgements(store):
    """Let each commit succeed and then look like a broken connection, until the returned function is called."""
    dialect = store._work.engine.dialect
    commit, error = dialect.do_commit, dialect.loaded_dbapi.OperationalError("the connection broke")
    if dialect.name == "sqlite":
        error.sqlite_errorname = "SQLITE_BUSY"

    def lose(connection):
        commit(connection)
        raise error

    dialect.do_commit = lose
    return lambda: setattr(dialect, "do_commit", commit)


@pytest.mark.parametrize("expected", [0, Expected.NO_STREAM, ANY])
def test_a_commit_whose_acknowledgement_is_lost_is_no_conflict_for_who_tries_again(store, expected):
    appends = [
        Append("a-1", [NewEvent("A"), NewEvent("B")], expected),
        Append("b-1", [NewEvent("C")], expected),
    ]
    restore = lose_acknowledgements(store)
    with pytest.raises(DatabaseUnavailable, match="safe to repeat"):
        store.append_many(appends)
    restore()
    assert [result.version for result in store.append_many(appends)] == [2, 1]
    assert [event.type for event in store.read_all()] == ["A", "B", "C"]
    with pytest.raises(ConcurrencyConflict):
        store.append("a-1", [NewEvent("D")], 0)


def test_an_import_whose_acknowledgement_is_lost_is_repeated_without_a_double(store):
    pairs = [("a-1", NewEvent("A")) for _ in range(100)]
    restore = lose_acknowledgements(store)
    with pytest.raises(DatabaseUnavailable):
        store.import_events(pairs)
    restore()
    assert store.import_events(pairs).duplicates == 100
    assert store.version("a-1") == 100


def test_an_import_makes_room_for_a_rival_who_writes_between_its_batches(store, url, monkeypatch):
    monkeypatch.setattr(event_import, "_MOST_EVENTS", 10)
    rival = SqlEventStore(open_database(url))

    def pairs():
        for number in range(30):
            if number == 15:  # the first batch stands, and the import remembers where it left the streams
                rival.append("a-1", [NewEvent("Rival")], ANY)
                rival.archive("b-1")
            yield f"{'ab'[number % 2]}-1", NewEvent("A")

    result = store.import_events(pairs())
    rival.close()
    assert (result.read, result.appended, result.refused) == (30, 20, 10)
    assert [event.version for event in store.read("a-1")] == list(range(1, 17))
    assert [event.type for event in store.read("a-1")] == ["A"] * 5 + ["Rival"] + ["A"] * 10
    assert [event.type for event in store.read("b-1")] == ["A"] * 5 + ["$archived"]


def test_every_moment_of_the_calendar_comes_back_to_the_microsecond(store):
    border = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=2**52)  # where the arithmetic changes
    dice = random.Random(1)
    moments = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    moments += [border + timedelta(microseconds=step) for step in range(-500, 500)]
    moments += [border - timedelta(microseconds=dice.randrange(2**53)) for _ in range(2000)]
    store.import_events(("a-1", NewEvent("A", occurred_at=moment)) for moment in moments)
    assert [event.occurred_at for event in store.read("a-1")] == moments
    assert [event.occurred_at for event in store.read_all()] == moments


def test_an_import_that_loses_races_goes_on_in_smaller_parts(store, monkeypatch):
    monkeypatch.setattr(event_import, "_FEW", 3)
    insert, sizes = store._backend.insert, []
    error = store._work.engine.dialect.loaded_dbapi.IntegrityError
    error = type("Rival", (error,), {"sqlstate": "23505"})

    def raced(connection, opening, rows):
        rows = list(rows)
        sizes.append(len(rows))
        if len(rows) > 5:
            raise error("somebody was faster")
        return insert(connection, opening, rows)

    monkeypatch.setattr(store._backend, "insert", raced)
    assert store.import_events(("a-1", NewEvent("A")) for _ in range(20)).appended == 20
    assert sizes == [20, 20, 10, 10, 5, 5, 10, 10, 5, 5]
    assert store.version("a-1") == 20


def _follow(url, found):
    store, stop, count = SqlEventStore(open_database(url)), threading.Event(), 0
    for batch in store.subscribe(stop=stop, poll=0.1):
        count += len(batch.events)
        if count >= 50:
            stop.set()
    store.close()
    found.put(count)


def test_a_subscription_on_sqlite_sees_what_another_process_appends(sqlite_url):
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    process = context.Process(target=_follow, args=(sqlite_url, found))
    process.start()
    store = SqlEventStore(open_database(sqlite_url))
    for _ in range(50):
        store.append("a-1", [NewEvent("A")], ANY)
    assert found.get(timeout=20) == 50
    process.join()
    assert process.exitcode == 0
    store.close()


def _peak():
    """Return the most memory that this process has held, in bytes; unlike `ru_maxrss`, without its parent's."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def _memory_of_a_walk(url, stream, found):
    store = SqlEventStore(open_database(url))
    some = [event.cursor for event in store.read(stream, 1, 2500)][-1]  # what is loaded once is no growth
    assert sum(1 for _ in store.read_all(until=some)) == 2500
    before = _peak()
    walks = [store.read(stream), store.read(stream, backwards=True), store.read_all()]
    counts = [sum(1 for _ in walk) for walk in walks]
    growth = _peak() - before
    store.close()
    found.put((counts, growth))


def test_a_stream_of_any_length_is_walked_in_bounded_memory(store, url):
    size = 200_000
    pairs = (("big-1", NewEvent("A", b'{"text": "%s"}' % (b"x" * 500))) for _ in range(size))
    assert store.import_events(pairs).appended == size
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    process = context.Process(target=_memory_of_a_walk, args=(url, "big-1", found))
    process.start()
    counts, growth = found.get(timeout=120)
    process.join()
    assert counts == [size] * 3
    assert growth < 20 * MEGABYTE


def test_a_reader_that_stops_half_way_holds_no_transaction_open(store):
    store.import_events(("a-1", NewEvent("A")) for _ in range(3000))
    reader = store.read_all()
    next(reader)
    started = time.monotonic()
    store.append("a-1", [NewEvent("B")], 3000)
    assert time.monotonic() - started < 5
    assert store._work.engine.pool.checkedout() == 0
    assert sum(1 for _ in reader) == 3000


def _append_often(url, name, count):
    store = SqlEventStore(open_database(url))
    for number in range(count):
        store.append(f"{name}-{number % 7}", [NewEvent("A")], ANY)
    store.close()


def test_a_subscription_misses_nothing_beside_two_processes_that_write(url):
    """Page and end of the log come from one state of it: what is committed between two looks is not taken for searched."""
    count, context = 400, multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_often, args=(url, f"w{n}", count)) for n in range(2)]
    store, stop, seen = SqlEventStore(open_database(url)), threading.Event(), []

    def follow():
        for batch in store.subscribe(stop=stop, poll=0.001):
            seen.extend(batch.events)

    tail = threading.Thread(target=follow)
    tail.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    deadline = time.monotonic() + 10
    while len(seen) < 2 * count and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    tail.join()
    assert [event.id for event in seen] == [event.id for event in store.read_all()]
    assert len(seen) == 2 * count
    store.close()
