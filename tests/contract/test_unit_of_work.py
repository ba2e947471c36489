"""One suite for the `UnitOfWork` port: memory, SQLite, PostgreSQL. Rows and events stand together or not at all."""

import contextlib
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_unit_of_work import MemoryUnitOfWork
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.event_transactions import guarded
from pipelines_persistence.adapters.sql.unit_of_work import SqlUnitOfWork
from pipelines_persistence.configuration import DependencyConfig
from pipelines_persistence.errors import (
    ConcurrencyConflict,
    ConfigurationError,
    DatabaseContended,
    DatabaseUnavailable,
    EventRefused,
    RowConflict,
    StorageError,
    StreamClosed,
    UnitMisused,
)
from pipelines_persistence.events import Append, Expected, NewEvent
from pipelines_persistence.repositories import field
from pipelines_persistence.resilience import Guard
from tests.moving import ACCOUNTS, Account, moved

SQL = ["sqlite", "postgres"]
ANY, NO_STREAM = Expected.ANY, Expected.NO_STREAM
WORKER = "tests.contract.unit_killed"
ROOT = Path(__file__).parents[2]
PAST = ["add", "get", "walk", "a unit", "open", "append", "archive", "tombstone", "import"]


@pytest.fixture(params=["memory", *SQL])
def world(request):
    """Return a log and units of work over it."""
    if request.param == "memory":
        store = MemoryEventStore()
        units = MemoryUnitOfWork(store)
    else:
        engine = open_database(request.getfixturevalue(f"{request.param}_url"))
        store = SqlEventStore(engine)
        units = SqlUnitOfWork(engine, store)
    units.open(ACCOUNTS)
    yield store, units
    store.close()


only_sql = pytest.mark.parametrize("world", SQL, indirect=True)
only_postgres = pytest.mark.parametrize("world", ["postgres"], indirect=True)


def new(*types):
    return [NewEvent(type_) for type_ in types]


def types(events):
    return [event.type for event in events]


def balances(units):
    return {row.name: row.balance for row in units.repository(ACCOUNTS).walk()}


def test_rows_of_several_kinds_and_events_of_several_streams_stand_together(world):
    store, units = world

    def open_account(work):
        work.repository(ACCOUNTS).add(Account("a", 7))
        work.events.append("account-a", new("Opened"), NO_STREAM)
        work.events.append_many([Append("account-a", new("Paid"), 1), Append("audit-1", new("Seen"), ANY)])
        return "done"

    assert units.run(open_account) == "done"
    assert balances(units) == {"a": 7}
    assert types(store.read_all()) == ["Opened", "Paid", "Seen"]
    assert [event.version for event in store.read("account-a")] == [1, 2]


def test_a_unit_sees_what_it_has_done_and_nobody_else_does_before_the_end(world):
    store, units = world
    seen = []

    def work_in(work):
        accounts = work.repository(ACCOUNTS)
        accounts.add(Account("a", 1))
        accounts.update(moved(accounts.get("a"), 1))
        work.events.append("s-1", new("A", "B"), NO_STREAM)
        seen.append(
            (accounts.get("a").balance, accounts.count(field("balance") == 2), accounts.first().version)
        )
        seen.append((types(work.events.read("s-1", backwards=True)), work.events.version("s-1")))
        outside = threading.Thread(target=lambda: seen.append((balances(units), types(store.read_all()))))
        if not isinstance(store, MemoryEventStore):  # there a reader waits
            outside.start()
            outside.join(20)

    units.run(work_in)
    assert seen[:2] == [(2, 1, 2), (["B", "A"], 2)]
    assert seen[2:] in ([], [({}, [])])


def test_an_error_leaves_neither_row_nor_event(world):
    store, units = world
    units.repository(ACCOUNTS).add(Account("old", 1))

    def fail(work):
        accounts = work.repository(ACCOUNTS)
        accounts.add(Account("a"))
        accounts.update(moved(accounts.get("old"), 5))
        work.events.append("s-1", new("A"), ANY)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        units.run(fail)
    assert (balances(units), types(store.read_all()), store.version("s-1")) == ({"old": 1}, [], 0)
    store.append("s-1", new("B"), NO_STREAM)
    assert types(store.read("s-1")) == ["B"]


@pytest.mark.parametrize(
    ("expected", "error"), [(7, ConcurrencyConflict), (NO_STREAM, ConcurrencyConflict), (ANY, StreamClosed)]
)
def test_a_conflict_in_the_log_undoes_the_rows_and_is_not_tried_again(world, expected, error):
    store, units = world
    store.append("s-1", new("A"), ANY)
    if expected is ANY:
        store.archive("s-1")
    calls = []

    def conflict(work):
        calls.append(1)
        work.repository(ACCOUNTS).add(Account("a"))
        work.events.append("s-1", new("B"), expected)

    with pytest.raises(error):
        units.run(conflict)
    assert (balances(units), len(calls)) == ({}, 1)


def test_a_conflict_over_a_row_undoes_the_events_and_is_not_tried_again(world):
    store, units = world
    stale = units.repository(ACCOUNTS).add(Account("a", 1))
    units.repository(ACCOUNTS).update(moved(stale, 1))
    calls = []

    def conflict(work):
        calls.append(1)
        work.events.append("s-1", new("A"), ANY)
        work.repository(ACCOUNTS).update(moved(stale, 10))

    with pytest.raises(RowConflict):
        units.run(conflict)
    assert (balances(units), types(store.read_all()), len(calls)) == ({"a": 2}, [], 1)


def test_a_unit_that_was_committed_without_its_caller_hearing_of_it_is_not_done_twice(world):
    store, units = world
    event = NewEvent("Paid")

    def pay(work):
        accounts = work.repository(ACCOUNTS)
        account = accounts.get("a") or accounts.add(Account("a"))
        accounts.update(moved(account, 5))
        return work.events.append("s-1", [event], ANY).version

    assert [units.run(pay), units.run(pay)] == [1, 1]
    assert (balances(units), types(store.read_all())) == ({"a": 5}, ["Paid"])


def test_a_unit_of_which_only_some_events_stand_is_another_one_and_is_refused(world):
    store, units = world
    event = NewEvent("Paid")
    store.append("s-1", [event], ANY)

    def mixed(work):
        work.repository(ACCOUNTS).add(Account("a"))
        work.events.append("s-1", [event], ANY)
        work.events.append("s-2", new("Other"), ANY)

    with pytest.raises(EventRefused, match="give new events new ids"):
        units.run(mixed)

    def twice(work):
        once = new("Once")
        work.events.append("s-3", once, ANY)
        work.events.append("s-3", once, ANY)

    with pytest.raises(EventRefused, match="given twice in one unit"):
        units.run(twice)
    assert (balances(units), types(store.read_all())) == ({}, ["Paid"])


def test_units_that_compete_lose_no_update_though_they_decide_upon_what_they_have_read(world):
    store, units = world
    units.repository(ACCOUNTS).add(Account("a"))
    barrier = threading.Barrier(4)
    failures = []

    def pay(work):
        accounts = work.repository(ACCOUNTS)
        version = work.events.version("s-1")
        accounts.update(moved(accounts.get("a"), 1))
        work.events.append("s-1", new("Paid"), version)

    def worker():
        barrier.wait(20)
        for _ in range(8):
            try:
                units.run(pay)
            except Exception as error:  # noqa: BLE001 - told by the test
                failures.append(error)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert balances(units) == {"a": 32}
    assert [event.version for event in store.read_all()] == list(range(1, 33))


@only_postgres
def test_two_units_that_would_each_break_what_the_other_relies_on_do_not_both_stand(world):
    """Write skew: each reads both accounts and empties another one, as long as the sum stays positive."""
    _, units = world
    for name in "ab":
        units.repository(ACCOUNTS).add(Account(name, 1))
    both_have_read = threading.Barrier(2)
    tries = []

    def empty(name):
        def work(work):
            accounts = work.repository(ACCOUNTS)
            total = sum(row.balance for row in accounts.walk())
            tries.append(name)
            if len(tries) <= 2:
                both_have_read.wait(20)
            if total > 1:
                accounts.update(moved(accounts.get(name), -1))

        return lambda: units.run(work)

    threads = [threading.Thread(target=empty(name)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(balances(units).values()) == 1
    assert len(tries) == 3


@only_postgres
def test_a_streams_events_keep_their_order_although_a_unit_got_its_transaction_before_it_appended(world):
    """The log is in the order of transaction ids: an older transaction must not append behind a younger one."""
    store, units = world
    first = []

    def late(work):
        work.repository(ACCOUNTS).add(Account(f"a{len(first)}"))  # now it has its id
        if not first:
            first.append(1)
            append = threading.Thread(target=lambda: store.append("s-1", new("Younger"), NO_STREAM))
            append.start()
            append.join(20)
        work.events.append("s-1", new("Older"), ANY)

    units.run(late)
    assert [(event.type, event.version) for event in store.read_all()] == [("Younger", 1), ("Older", 2)]
    assert balances(units) == {"a1": 0}


@only_sql
def test_who_follows_the_log_never_sees_an_event_without_its_row(world):
    store, units = world
    stop, missing = threading.Event(), []

    def follow():
        for batch in store.subscribe(stop=stop, poll=0.005):
            rows = set(balances(units))
            missing.extend(event.stream for event in batch.events if event.stream not in rows)

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(40):
        name = f"s-{number}"

        def open_account(work, name=name):
            work.events.append(name, new("Opened"), NO_STREAM)
            work.repository(ACCOUNTS).add(Account(name))

        units.run(open_account)
    stop.set()
    thread.join(20)
    assert missing == []


@only_postgres
def test_who_waits_at_the_end_of_the_log_is_woken_by_a_unit(world):
    store, units = world
    waiter = store._backend.waiter()
    units.run(lambda work: work.events.append("s-1", new("A"), ANY))
    assert waiter.wait(20)
    waiter.close()


@only_postgres
def test_an_error_of_the_database_that_is_swallowed_does_not_pass_for_success(world):
    store, units = world

    def swallow(work):
        work.events.append("s-1", new("A"), ANY)
        with contextlib.suppress(sa.exc.DBAPIError):
            work.repository(ACCOUNTS)._transactions.read(
                lambda connection: connection.exec_driver_sql("SELECT 1/0")
            )

    with pytest.raises(StorageError, match="broke the transaction off"):
        units.run(swallow)
    assert types(store.read_all()) == []


@only_sql
def test_a_database_that_is_away_says_so_and_the_unit_may_be_repeated(world):
    store, units = world
    event, away = NewEvent("Paid"), [True]

    def pay(work):
        work.repository(ACCOUNTS).add(Account("a"))
        work.events.append("s-1", [event], ANY)
        if away.pop() if away else False:
            raise DatabaseUnavailable("away")

    with pytest.raises(DatabaseUnavailable):
        units.run(pay)
    units.run(pay)
    assert (balances(units), types(store.read_all())) == ({"a": 0}, ["Paid"])


def test_a_table_that_was_not_opened_is_no_surprise_in_the_middle_of_a_unit(world):
    _, units = world
    fresh = type(units)(MemoryEventStore()) if isinstance(units, MemoryUnitOfWork) else None
    if fresh is None:
        store, _ = world
        fresh = SqlUnitOfWork(units._own.engine, store)
    with pytest.raises(ConfigurationError, match="'accounts' is not open: call open"):
        fresh.run(lambda work: work.repository(ACCOUNTS))
    fresh.open(ACCOUNTS)
    assert fresh.run(lambda work: work.repository(ACCOUNTS).count()) == 0


def past(world):
    """Return what goes past a unit, by its name."""
    store, units = world
    accounts = units.repository(ACCOUNTS)
    return {
        "add": lambda: accounts.add(Account("past")),
        "get": lambda: accounts.get("old"),
        "walk": lambda: list(accounts.walk()),
        "a unit": lambda: units.run(lambda _work: None),
        "open": lambda: units.open(ACCOUNTS),
        "append": lambda: store.append("s-past", new("A"), ANY),
        "archive": lambda: store.archive("s-old"),
        "tombstone": lambda: store.tombstone("s-old"),
        "import": lambda: store.import_events([("s-past", NewEvent("A"))]),
    }


@pytest.mark.parametrize("what", PAST)
def test_what_goes_past_a_unit_from_within_is_refused_at_once_and_leaves_nothing(world, what):
    store, units = world
    units.repository(ACCOUNTS).add(Account("old"))
    store.append("s-old", new("Old"), ANY)

    def within(work):
        work.repository(ACCOUNTS).add(Account("a"))
        work.events.append("s-1", new("A"), ANY)
        past(world)[what]()

    with pytest.raises(UnitMisused, match=r"goes past the unit .*work\.repository\(table\) and work\.events"):
        units.run(within)
    assert (balances(units), types(store.read_all())) == ({"old": 0}, ["Old"])
    past(world)["add"]()
    assert balances(units) == {"old": 0, "past": 0}


def test_the_function_may_see_to_it_that_a_call_past_its_unit_was_refused_and_go_on(world):
    store, units = world

    def within(work):
        with pytest.raises(UnitMisused):
            past(world)["add"]()
        with pytest.raises(UnitMisused):
            past(world)["append"]()
        work.repository(ACCOUNTS).add(Account("a"))

    units.run(within)
    assert (balances(units), types(store.read_all())) == ({"a": 0}, [])


@pytest.mark.parametrize("fails", [False, True])
def test_a_unit_that_has_ended_takes_and_gives_nothing_more(world, fails):
    store, units = world
    units.repository(ACCOUNTS).add(Account("old"))
    store.append("s-1", new("Old"), ANY)
    kept = []

    def keep(work):
        accounts = work.repository(ACCOUNTS)
        kept.extend([work, accounts, work.events, accounts.get("old")])
        if fails:
            raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        units.run(keep)
    work, accounts, events, old = kept
    for late in (
        lambda: accounts.add(Account("late")),
        lambda: accounts.update(old),
        lambda: accounts.delete(old),
        lambda: accounts.get("old"),
        accounts.count,
        lambda: list(accounts.walk()),
        lambda: work.repository(ACCOUNTS).find(),
        lambda: events.append("s-1", new("Late"), ANY),
        lambda: events.version("s-1"),
        lambda: list(events.read("s-1")),
    ):
        with pytest.raises(UnitMisused, match="unit of work has ended"):
            late()
    assert (balances(units), types(store.read_all())) == ({"old": 0}, ["Old"])


def test_a_walk_that_goes_on_when_its_unit_has_ended_says_so(world):
    _, units = world
    for name in map(str, range(3)):
        units.repository(ACCOUNTS).add(Account(name))

    def begin(work):
        walk = work.repository(ACCOUNTS).walk()
        next(walk)
        return walk

    with pytest.raises(UnitMisused, match="unit of work has ended"):
        list(units.run(begin))


class Victim(Exception):
    """What a driver raises for a transaction that the database chose as a victim."""

    sqlstate = "40001"


def contended(world, losses, slept):
    """Return units whose first attempts lose a race; their waits are noted, and take no time."""
    store, units = world
    units = SqlUnitOfWork(units._own.engine, store, sleep=slept.append)
    units.open(ACCOUNTS)
    calls = []

    def lose(work):
        calls.append(1)
        work.repository(ACCOUNTS).add(Account("a"))
        if len(calls) <= losses:
            raise sa.exc.OperationalError("UPDATE", {}, Victim("could not serialize access"))

    return units, lose, calls


@only_postgres
def test_a_unit_that_loses_many_races_goes_on_with_growing_waits(world):
    slept = []
    units, lose, calls = contended(world, 30, slept)
    units.run(lose)
    assert (len(calls), len(slept), balances(units)) == (31, 30, {"a": 0})
    assert all(wait <= 0.25 for wait in slept)
    assert sum(slept[:5]) < sum(slept[-5:])
    assert sum(slept) < 20


@only_postgres
def test_a_unit_that_only_loses_says_that_the_database_is_contended_and_no_guard_repeats_it(world):
    slept = []
    units, lose, calls = contended(world, 10_000, slept)
    guard = Guard("database", DependencyConfig(), sleep=slept.append)
    guarded(units._own.engine, guard)
    units, lose, calls = contended(world, 10_000, slept)
    with pytest.raises(DatabaseContended, match=r"contended: \d+ attempts in \S+ s .*could not serialize"):
        units.run(lose)
    assert sum(slept) <= 20
    assert len(calls) == len(slept) + 1
    assert guard.state().retries == 0
    assert balances(units) == {}


@pytest.mark.parametrize("database", SQL)
def test_a_process_that_is_killed_in_the_middle_leaves_neither(request, database):
    url = request.getfixturevalue(f"{database}_url")
    engine = open_database(url)
    store = SqlEventStore(engine)
    units = SqlUnitOfWork(engine, store)
    units.open(ACCOUNTS)
    for name in "ab":
        units.repository(ACCOUNTS).add(Account(name))
    chance = random.Random(database)
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-m", WORKER, url], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as worker:
            for _ in range(chance.randrange(3, 9)):  # odd: between the row and the event
                worker.stdout.readline()
            worker.kill()
        held, moves = balances(units), len(list(store.read_all()))
        assert held == {"a": -moves, "b": moves}
    store.close()
    assert moves > 2


@pytest.mark.parametrize("database", SQL)
def test_several_open_one_table_at_once(request, database):
    url = request.getfixturevalue(f"{database}_url")
    engines = [open_database(url) for _ in range(4)]
    failures = []

    def open_table(engine):
        try:
            SqlUnitOfWork(engine, SqlEventStore(engine)).open(ACCOUNTS)
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=open_table, args=[engine]) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for engine in engines:
        engine.dispose()
    assert failures == []
