"""What goes wrong with PostgreSQL: down, killed, restarted, hanging, refusing, an acknowledgement that is lost."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from benchmarks.servers import create_database, postgres_programs, running_postgres
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.event_transactions import CommitInDoubt, Taken, UnitOfWork
from pipelines_persistence.configuration import BreakerConfig, DependencyConfig, RetryConfig
from pipelines_persistence.configuration.resilience import DatabaseConfig
from pipelines_persistence.errors import (
    CircuitOpen,
    ConfigurationError,
    DatabaseContended,
    DatabaseUnavailable,
    StorageError,
)
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.resilience import CircuitState, Guard
from tests.tcp_proxy import tcp_proxy

ANY = Expected.ANY


@pytest.fixture(scope="module")
def server():
    """A server of one's own, which may be killed."""
    if not postgres_programs():
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running_postgres(fsync="off", max_connections=30, shared_buffers="16MB") as url:
        yield sa.make_url(create_database(url, "faults"))


@pytest.fixture
def proxy(server):
    with tcp_proxy(server.host, server.port) as proxy:
        yield proxy


@pytest.fixture
def url(server, proxy):
    return server.set(port=proxy.port, password="hush-hush").render_as_string(hide_password=False)


def guard_of(attempts=4, sleep=lambda _seconds: None, **breaker):
    config = DependencyConfig(
        retry=RetryConfig(attempts=attempts), breaker=BreakerConfig(**{"minimum": 1000, **breaker})
    )
    return Guard("database", config, sleep=sleep)


@pytest.fixture
def opened(url):
    """Return a function that opens a store through the proxy; all are closed."""
    stores = []

    def open_store(guard=None, **config):
        stores.append(SqlEventStore(open_database(url, DatabaseConfig(**config), guard=guard)))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def data_folder(server):
    for path in Path(tempfile.gettempdir()).glob("postgres-*/data/postmaster.pid"):
        if path.read_text().splitlines()[3] == str(server.port):
            return path.parent
    raise AssertionError("no such server")


def control(server, *arguments):
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = data_folder(server)
    command = [postgres_programs() / "pg_ctl", "-D", folder, *arguments]
    # With output of its own: the server that it starts would hold ours open.
    command += ["-l", folder.parent / "log"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, cwd=folder, timeout=60, **quiet, **account)


def test_a_server_that_is_down_at_start_is_tried_as_often_as_configured(url, proxy):
    proxy.refuse()
    guard, waits = guard_of(), []
    guard._sleep = waits.append
    with pytest.raises(DatabaseUnavailable, match="does not answer") as caught:
        open_database(url, guard=guard)
    assert (guard.state().calls, len(waits)) == (4, 3)
    assert "hush-hush" not in str(caught.value)


def test_a_server_that_comes_up_meanwhile_is_opened(opened, proxy):
    proxy.refuse()
    waits = []

    def come_up(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            proxy.resume()

    store = opened(guard_of(sleep=come_up))
    assert store.append("up-1", [NewEvent("A")], ANY).version == 1


def test_connections_that_die_under_a_run_cost_nobody_an_error_and_nothing_is_doubled(opened, proxy):
    store = opened(guard_of(attempts=20, sleep=lambda _seconds: time.sleep(0.02)))
    stop = threading.Event()

    def kill():
        while not stop.wait(0.05):  # and in the middle of whatever is under way
            proxy.drop()

    killer = threading.Thread(target=kill)
    killer.start()
    appended = 0
    for number in range(120):
        event = NewEvent("A", f'{{"number": {number}}}'.encode())
        if number % 10 == 0:
            proxy.drop()
        while True:  # a commit whose answer is lost is the caller's to repeat, by the event's id
            try:
                store.append("flap-1", [event], ANY)
            except CommitInDoubt:
                continue
            break
        appended += 1
    stop.set()
    killer.join()
    assert [event.version for event in store.read("flap-1")] == list(range(1, appended + 1))
    assert store._work._guard.state().failures > 0


def test_without_a_guard_a_connection_that_dies_is_an_error(opened, proxy):
    store = opened()
    store.version("a-1")
    with pytest.raises(DatabaseUnavailable), proxy_dropping(store, proxy):
        pass


class proxy_dropping:  # noqa: N801 - reads as a verb
    """Ends the connections in the middle of a unit of work."""

    def __init__(self, store, proxy):
        self.work, self.proxy = store._work, proxy

    def __enter__(self):
        def work(connection):
            connection.exec_driver_sql("SELECT 1")
            self.proxy.drop()
            return connection.exec_driver_sql("SELECT 2").scalar()

        self.result = self.work.read(work)

    def __exit__(self, *_):
        pass


def test_a_restart_of_the_server_costs_nobody_an_error(opened, server):
    store = opened(guard_of(sleep=time.sleep))
    store.append("restart-1", [NewEvent("A")], ANY)
    control(server, "restart", "-m", "immediate", "-w")
    store.append("restart-1", [NewEvent("B")], ANY)
    assert [event.type for event in store.read("restart-1")] == ["A", "B"]


def test_a_connection_that_idled_through_a_restart_is_replaced_before_it_is_used(opened, server, monkeypatch):
    monkeypatch.setattr("pipelines_persistence.adapters.sql.postgres_connections.IDLE", 0.0)
    store = opened()  # no guard: nobody tries again
    store.append("idle-1", [NewEvent("A")], ANY)
    control(server, "restart", "-m", "immediate", "-w")
    assert store.append("idle-1", [NewEvent("B")], ANY).version == 2


def test_a_server_that_does_not_answer_any_more_is_given_up_at_the_deadline(opened, proxy):
    store = opened(guard_of(attempts=1), timeout=0.2)
    store.append("hang-1", [NewEvent("A")], ANY)
    proxy.hang()
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="no answer within"):
        store.append("hang-1", [NewEvent("B")], ANY)
    assert time.monotonic() - started < 20  # not for ever; the bound itself is the configuration's
    proxy.resume()
    store.append("hang-1", [NewEvent("C")], ANY)
    assert [event.type for event in store.read("hang-1")] == ["A", "C"]


def test_a_backend_that_is_stopped_is_given_up_and_another_one_serves(opened):
    store = opened(guard_of(attempts=2), timeout=0.2)
    pid = store._work.read(lambda connection: connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())
    os.kill(pid, signal.SIGSTOP)
    try:
        assert store.append("stopped-1", [NewEvent("A")], ANY).version == 1
        state = store._work._guard.state()
        assert (state.failures, "no answer within" in state.last_error) == (1, True)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert store.version("stopped-1") == 1


def test_a_statement_that_takes_too_long_is_ended_by_the_server(opened):
    work = UnitOfWork(opened(timeout=0.2)._work.engine)
    with pytest.raises(DatabaseUnavailable, match="statement timeout"):
        work.read(lambda connection: connection.exec_driver_sql("SELECT pg_sleep(20)"))


def test_a_transaction_that_does_nothing_is_ended_for_it_would_hold_the_log_back(opened):
    work = UnitOfWork(opened(timeout=0.2)._work.engine)

    def dawdle(connection):
        connection.exec_driver_sql("SELECT pg_current_xact_id()")
        time.sleep(0.6)
        connection.exec_driver_sql("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        work.write(dawdle)


def test_a_commit_whose_answer_is_lost_is_not_repeated_blindly_and_stands_once(opened, proxy):
    guard = guard_of()
    store = opened(guard)
    store.append("ack-1", [NewEvent("A")], 0)
    before = guard.state().calls
    event = NewEvent("B")
    proxy.lose_answer_to(b"COMMIT\0")
    with pytest.raises(CommitInDoubt, match="safe to repeat"):
        store.append("ack-1", [event], 1)
    assert guard.state().calls == before + 1
    assert store.append("ack-1", [event], 1).version == 2  # the same call succeeds: ids tell
    assert [event.type for event in store.read("ack-1")] == ["A", "B"]


def test_a_circuit_opens_over_a_dead_server_and_closes_when_it_is_back(opened, proxy):
    guard = guard_of(minimum=3, seconds=0.2)
    store = opened(guard)
    proxy.refuse()
    with pytest.raises(DatabaseUnavailable):
        store.version("a-1")
    assert guard.state().state is CircuitState.OPEN
    connections = proxy.connections
    with pytest.raises(CircuitOpen, match="left alone"):
        store.version("a-1")
    assert proxy.connections == connections  # nothing was tried
    proxy.resume()
    time.sleep(0.25)
    assert store.version("nobody-1") == 0
    assert guard.state().state is CircuitState.CLOSED


@pytest.mark.parametrize("name", ["username", "database"])
def test_a_log_in_that_is_refused_is_a_mistake_to_mend_and_is_not_repeated(server, name):
    guard = guard_of()
    wrong = server.set(**{name: "nobody"}, password="hush-hush").render_as_string(hide_password=False)
    with pytest.raises(ConfigurationError, match="refuses the log-in") as caught:
        open_database(wrong, guard=guard)
    assert "hush-hush" not in str(caught.value)
    assert (guard.state().calls, guard.state().failures) == (1, 0)


def open_until_refused(url):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # the server reads its rules again in a moment
        open_database(url).dispose()


def test_a_wrong_password_is_a_mistake_to_mend(server):
    rules = data_folder(server) / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all all 127.0.0.1/32 scram-sha-256\n{before}")
    control(server, "reload")
    wrong = server.set(password="hush-hush").render_as_string(hide_password=False)
    try:
        with pytest.raises(ConfigurationError, match="authentication failed") as caught:
            open_until_refused(wrong)
    finally:
        rules.write_text(before)
        control(server, "reload")
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("state", "expected", "calls", "failures"),
    [
        ("53100", StorageError, 1, 0),  # disk full: nothing that passes by itself
        ("42501", StorageError, 1, 0),  # insufficient privilege
        ("53300", DatabaseUnavailable, 4, 4),  # too many connections
        ("57P01", DatabaseUnavailable, 4, 4),  # the server shuts down
        ("57P03", DatabaseUnavailable, 4, 4),  # it starts up
        ("25P03", DatabaseUnavailable, 4, 4),  # it ended a transaction that did nothing
        ("23505", Taken, 1, 0),
    ],
)
def test_what_the_server_answers_decides_what_is_repeated_and_what_counts(
    opened, state, expected, calls, failures
):
    store = opened(guard := guard_of())
    before = guard.state()

    def work(_connection):
        raise psycopg.errors.lookup(state)("the server says so")

    with pytest.raises(expected):
        UnitOfWork(store._work.engine, sleep=lambda _seconds: None).write(work)
    after = guard.state()
    assert (after.calls - before.calls, after.failures - before.failures) == (calls, failures)


def test_a_lost_race_is_the_units_own_affair_and_no_sign_of_ill_health(opened):
    store = opened(guard := guard_of())
    before, slept = guard.state(), []

    def work(_connection):
        raise psycopg.errors.SerializationFailure("another was faster")

    with pytest.raises(DatabaseContended, match=r"contended: \d+ attempts in .*another was faster"):
        UnitOfWork(store._work.engine, sleep=slept.append).write(work)
    after = guard.state()
    assert after.calls - before.calls == len(slept) + 1 > 50
    assert (after.failures, after.retries) == (before.failures, before.retries)


@pytest.mark.parametrize("state", ["40001", "23505"])
def test_a_lost_race_stays_one_when_the_connection_breaks_as_it_is_rolled_back(opened, proxy, state):
    store = opened()
    calls = []

    def work(connection):
        calls.append(1)
        connection.exec_driver_sql("SELECT 1")
        if len(calls) == 1:
            proxy.drop()
            raise psycopg.errors.lookup(state)("another was faster")
        return "done"

    write = UnitOfWork(store._work.engine, sleep=lambda _seconds: None).write
    if state == "40001":
        assert write(work) == "done"
    else:
        with pytest.raises(Taken):
            write(work)


def test_options_in_the_url_win_over_ours(server):
    url = server.update_query_dict({"options": "-c statement_timeout=1234", "connect_timeout": "7"})
    engine = open_database(url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "1234ms"
    engine.dispose()


def test_no_more_connections_are_opened_than_configured(opened, proxy):
    store = opened(connections=2, overflow=1)
    before = proxy.connections
    barrier = threading.Barrier(3)

    def hold(connection):
        barrier.wait(10)
        return connection.exec_driver_sql("SELECT 1").scalar()

    threads = [threading.Thread(target=store._work.read, args=(hold,)) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert proxy.connections - before <= 9
    assert store._work.engine.pool.checkedin() <= 2
