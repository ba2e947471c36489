"""Everything that goes wrong with Redis while its streams are taken in: the run after it finds all, once, and in order.

What fails before the first page is in `test_resilience_sources.py`, what is read is in `test_redis_streams.py`.
"""

import json
import time
from uuid import uuid4

import pytest
import redis

from pipelines_persistence.adapters.redis_streams import redis_streams
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.feed_positions import SqlFeedPositions
from pipelines_persistence.configuration import BreakerConfig, DependencyConfig, RetryConfig
from pipelines_persistence.errors import ConfigurationError, DatabaseUnavailable, SourceUnavailable
from pipelines_persistence.events import entry_feed
from pipelines_persistence.resilience import Guard
from tests.redis_server import faulty_redis
from tests.tcp_proxy import tcp_proxy

PAGE, ENTRIES = 50, 220


class Bench:
    """A stream of Redis behind a proxy, a log in a file, and what guards the server."""

    def __init__(self, server, proxy, database_url):
        self.server, self.proxy = server, proxy
        self.key = f"orders-{uuid4()}"
        self.url = server.url.replace(str(server.port), str(proxy.port))
        self.engine = open_database(database_url)
        self.store, self.positions = SqlEventStore(self.engine), SqlFeedPositions(self.engine)
        pipe = server.admin.pipeline(transaction=False)
        for number in range(ENTRIES):
            data = json.dumps({"n": number})
            pipe.xadd(self.key, {"stream_id": f"order-{number % 7}", "event_type": "Placed", "data": data})
        pipe.execute()

    def take(self, during=None, *, always=False, attempts=4, sleep=time.sleep, timeout=5.0):
        """Take the stream in; `during` is called after the second page, or after each."""
        config = DependencyConfig(
            retry=RetryConfig(attempts=attempts, wait=0.02, longest=0.1), breaker=BreakerConfig(minimum=1000)
        )
        self.guard, pages = Guard("streams", config, sleep=sleep), []

        def notify(_progress):
            pages.append(1)
            if during and (always or len(pages) == 2):
                during()

        with redis_streams(self.url, [self.key], guard=self.guard, timeout=timeout) as streams:
            [report] = entry_feed.take_entries(self.store, self.positions, streams, notify=notify).streams
        return report

    def numbers(self):
        return sorted(json.loads(event.data)["n"] for event in self.store.read_all())

    def recovered(self):
        """Take in what is left, and find everything in the log: once, in order, without a gap."""
        report = self.take()
        assert (report.lost_total, report.malformed_total, report.restarted) == (0, 0, False)
        assert self.numbers() == list(range(ENTRIES))
        for stream in range(7):
            events = [*self.store.read(f"order-{stream}")]
            assert [event.version for event in events] == list(range(1, len(events) + 1))
            assert [json.loads(event.data)["n"] for event in events] == list(range(stream, ENTRIES, 7))
        assert self.take().read == 0
        return report


@pytest.fixture
def bench(tmp_path, sqlite_url, monkeypatch):
    monkeypatch.setattr(entry_feed, "_PAGE", PAGE)
    with faulty_redis(tmp_path, keeps=True) as server, tcp_proxy("127.0.0.1", server.port) as proxy:
        bench = Bench(server, proxy, sqlite_url)
        yield bench
        bench.store.close()


def test_down_at_the_start(bench):
    bench.proxy.refuse()
    with pytest.raises(SourceUnavailable, match="try again when it answers"):
        bench.take()
    assert bench.numbers() == []
    bench.proxy.resume()
    bench.recovered()


def test_down_in_the_middle_of_a_run_keeps_what_was_read(bench):
    with pytest.raises(SourceUnavailable, match="what was read is in"):
        bench.take(bench.proxy.refuse)
    assert bench.numbers() == list(range(2 * PAGE))
    bench.proxy.resume()
    assert bench.recovered().read == ENTRIES - 2 * PAGE


def test_killed_and_restarted_in_the_middle_of_a_run_is_not_noticed(bench):
    def restart(_seconds):
        bench.server.start()

    assert bench.take(bench.server.kill, sleep=restart).appended == ENTRIES
    assert bench.guard.state().retries == 1
    bench.recovered()


def test_slow_but_within_the_deadline_is_waited_for(bench):
    report = bench.take(lambda: bench.server.admin.client_pause(150))
    assert (report.appended, bench.guard.state().failures) == (ENTRIES, 0)
    bench.recovered()


def test_slower_than_the_deadline_is_given_up(bench):
    with pytest.raises(SourceUnavailable, match=r"[Tt]imeout"):
        bench.take(lambda: bench.server.admin.client_pause(1500), attempts=2, timeout=0.2)
    assert bench.numbers() == list(range(2 * PAGE))
    bench.recovered()


def test_a_connection_that_falls_silent_is_given_up_and_the_next_run_goes_on(bench):
    with pytest.raises(SourceUnavailable, match=r"[Tt]imeout"):
        bench.take(bench.proxy.hang, attempts=1, timeout=0.2)
    bench.proxy.resume()
    assert bench.recovered().read == ENTRIES - 2 * PAGE


def test_flapping_is_not_noticed(bench):
    report = bench.take(lambda: bench.proxy.lose_answer_to(b"XRANGE"), always=True)
    assert (report.appended, report.duplicates) == (ENTRIES, 0)
    assert bench.guard.state().retries == ENTRIES // PAGE  # a connection dies under each page but the first
    bench.recovered()


def test_an_answer_that_is_lost_is_asked_for_again(bench):
    report = bench.take(lambda: bench.proxy.lose_answer_to(b"XRANGE"))
    assert (report.appended, report.duplicates, bench.guard.state().retries) == (ENTRIES, 0, 1)
    bench.recovered()


@pytest.mark.parametrize("what", ["events", "position"])
def test_a_commit_whose_acknowledgement_is_lost_doubles_nothing(bench, what, monkeypatch):
    dialect = bench.engine.dialect
    commit, error = dialect.do_commit, dialect.loaded_dbapi.OperationalError("the connection broke")
    error.sqlite_errorname = "SQLITE_BUSY"
    left = [{"events": 3, "position": 4}[what]]  # a page is two commits, of its events and of the position

    def lose(connection):
        commit(connection)
        left[0] -= 1
        if not left[0]:
            raise error

    with monkeypatch.context() as patched:
        patched.setattr(dialect, "do_commit", lose)
        with pytest.raises(DatabaseUnavailable, match="safe to repeat"):
            bench.take()
    report = bench.recovered()
    assert report.duplicates == {"events": PAGE, "position": 0}[what]


def test_too_many_clients_is_tried_again(bench):
    def refuse_all():
        bench.server.admin.config_set("maxclients", 1)
        bench.proxy.drop()

    def let_in(_seconds):
        bench.server.admin.config_set("maxclients", 100)

    assert bench.take(refuse_all, sleep=let_in).appended == ENTRIES
    assert "max number of clients" in bench.guard.state().last_error
    bench.recovered()


@pytest.mark.parametrize(
    ("trouble", "error"),
    [("refuse_writes", redis.ResponseError), ("fill_memory", redis.exceptions.OutOfMemoryError)],
)
def test_a_server_that_can_take_no_more_is_read_all_the_same(bench, trouble, error):
    report = bench.take(getattr(bench.server, trouble))
    assert (report.appended, bench.guard.state().failures) == (ENTRIES, 0)
    with pytest.raises(error, match=r"MISCONF|maxmemory"):  # it is in trouble: who adds is told
        bench.server.admin.xadd(bench.key, {"event": "{}"})
    bench.recovered()


def test_a_password_that_is_changed_in_the_middle_of_a_run_is_a_mistake_to_mend(bench):
    with pytest.raises(ConfigurationError, match="refuses to show") as refused:
        bench.take(lambda: bench.server.lock("an0ther"))
    assert (bench.guard.state().failures, "s3cret" in str(refused.value)) == (0, False)
    assert bench.numbers() == list(range(2 * PAGE))
    bench.server.admin.config_set("requirepass", "s3cret")
    assert bench.recovered().read == ENTRIES - 2 * PAGE
