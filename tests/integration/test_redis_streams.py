"""Redis Streams as a feed, against a real server: nothing lost, nothing doubled, and what cannot be had is told."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import redis

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_feeds import MemoryFeedPositions
from pipelines_persistence.adapters.redis_streams import redis_streams
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.errors import ConfigurationError, EventRefused, RunCancelled, SourceUnavailable
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.events.entry_feed import take_entries, with_news
from pipelines_persistence.events.entry_reports import OnMalformed

PAGE = 1000


class Desk:
    """A stream of Redis under a key of its own, a log, and positions."""

    def __init__(self, url):
        self.url = url
        self.client = redis.Redis.from_url(url)
        self.key = f"orders-{uuid4()}"
        self.store = MemoryEventStore()
        self.positions = MemoryFeedPositions()

    def add(self, *numbers, entry_id="*", **options):
        pipe = self.client.pipeline(transaction=False)
        for number in numbers:
            fields = {
                "stream_id": f"order-{number % 7}",
                "event_type": "Placed",
                "data": json.dumps({"n": number}),
            }
            pipe.xadd(self.key, fields, id=entry_id, **options)
        pipe.execute()

    def add_fields(self, fields):
        return self.client.xadd(self.key, fields).decode()

    def take(self, **options):
        with redis_streams(self.url, [self.key]) as streams:
            [report] = take_entries(self.store, self.positions, streams, **options).streams
        return report

    def has_news(self):
        with redis_streams(self.url, [self.key]) as streams:
            return bool(with_news(self.positions, streams))


@pytest.fixture
def desk(redis_url):
    desk = Desk(redis_url)
    yield desk
    desk.client.delete(desk.key)
    desk.client.close()


def numbers(store):
    return sorted(json.loads(event.data)["n"] for event in store.read_all())


# What an entry becomes


def test_the_fields_of_an_entry_become_an_event(desk):
    given = str(uuid4())
    desk.add_fields(
        {
            "stream_id": "order-1",
            "event_type": "Placed",
            "timestamp": "2026-01-01T12:00:00+01:00",
            "data": '{ "price": 1.10 }',
            "event_id": given,
            "schema_version": "2",
            "actor": "Zoë",
        }
    )
    desk.take()
    [event] = desk.store.read("order-1")
    assert (event.id, event.type, event.data, event.schema_version, event.actor) == (
        given,
        "Placed",
        b'{ "price": 1.10 }',
        2,
        "Zoë",
    )
    assert event.occurred_at == datetime(2026, 1, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize("field", ["event", "json"])
def test_one_field_may_hold_a_whole_line(desk, field):
    line = {"stream_id": "order-1", "event_type": "Placed", "data": {"n": 1}}
    entry_id = desk.add_fields({field: json.dumps(line)})
    desk.take()
    [event] = desk.store.read("order-1")
    assert event.data == b'{"n": 1}'
    assert event.occurred_at == datetime.fromtimestamp(int(entry_id.split("-")[0]) / 1000, UTC)
    assert UUID(event.id).version == 5


def test_entries_are_taken_in_their_order_and_once(desk):
    desk.add(*range(2 * PAGE + 500))
    assert desk.has_news()
    first = desk.take()
    assert (first.read, first.appended, first.lost) == (2 * PAGE + 500, 2 * PAGE + 500, 0)
    assert [json.loads(event.data)["n"] for event in desk.store.read("order-3")] == list(
        range(3, 2 * PAGE + 500, 7)
    )
    assert not desk.has_news()
    assert desk.take().read == 0
    desk.add(9999)
    assert desk.has_news()
    assert (desk.take().appended, desk.take().appended) == (1, 0)


def test_several_streams_are_taken_in_and_one_that_is_not_there_is_empty(desk):
    other = f"{desk.key}-other"
    desk.add(1, 2)
    desk.client.xadd(other, {"stream_id": "a", "event_type": "A", "data": '{"n": 3}'})
    with redis_streams(desk.url, [desk.key, other, f"{desk.key}-none"]) as streams:
        report = take_entries(desk.store, desk.positions, streams).as_json()
    desk.client.delete(other)
    assert (report["appended"], [stream["appended"] for stream in report["streams"]]) == (3, [2, 1, 0])
    assert json.loads(json.dumps(report)) == report


# What is malformed


MALFORMED = [
    ({"stream_id": "a", "event_type": "A", "data": '{"n": NaN}'}, "data"),
    ({"stream_id": "a", "event_type": "A"}, "data"),
    ({"stream_id": "", "event_type": "A", "data": "{}"}, "stream_id"),
    ({"stream_id": b"\xff", "event_type": "A", "data": "{}"}, "stream_id"),
    ({"stream_id": "a", "event_type": "A", "data": "{}", "timestamp": "2026-01-01T00:00"}, "timestamp"),
    ({"stream_id": "a", "event_type": "A", "data": "{}", "schema_version": "two"}, "schema_version"),
    ({"stream_id": "a", "event_type": "A", "data": "{}", "trace": "7"}, "trace"),
    ({"event": "no json"}, None),
    ({"json": '{"stream_id": "a", "event_type": "A"}'}, "data"),
]


@pytest.mark.parametrize(("fields", "field"), MALFORMED)
def test_a_malformed_entry_is_reported_and_remembered_and_the_others_are_in(desk, fields, field):
    desk.add(1)
    entry_id = desk.add_fields(fields)
    desk.add(2)
    report = desk.take()
    assert numbers(desk.store) == [1, 2]
    assert (report.read, report.appended, report.malformed) == (3, 2, 1)
    assert [(entry.id, entry.field) for entry in report.recent] == [(entry_id, field)]
    later = desk.take()
    assert (later.malformed, later.malformed_total, later.recent) == (0, 1, report.recent)
    assert desk.client.xlen(desk.key) == 3


def test_only_the_last_malformed_entries_are_remembered_and_all_are_counted(desk):
    ids = [desk.add_fields({"event": "no json"}) for _ in range(30)]
    report = desk.take()
    assert (report.malformed, [entry.id for entry in report.recent]) == (30, ids[-20:])


def test_the_policy_may_be_to_stop_before_a_malformed_entry(desk):
    desk.add(1, 2)
    entry_id = desk.add_fields({"event": "no json"})
    desk.add(3)
    for _ in range(2):
        with pytest.raises(EventRefused, match=entry_id):
            desk.take(on_malformed=OnMalformed.STOP)
        assert numbers(desk.store) == [1, 2]
    desk.client.xdel(desk.key, entry_id)
    assert desk.take(on_malformed=OnMalformed.STOP).appended == 1
    assert numbers(desk.store) == [1, 2, 3]


def test_events_of_closed_streams_are_refused_and_counted(desk):
    desk.store.append("order-1", [NewEvent("Placed", b'{"n": 0}')], Expected.ANY)
    desk.store.archive("order-1")
    desk.add(1, 2)
    report = desk.take()
    assert (report.read, report.appended, report.refused) == (2, 1, 1)


# What is lost


def test_entries_that_were_trimmed_before_they_were_read_are_counted_as_lost(desk):
    desk.add(*range(10))
    desk.take()
    desk.add(*range(10, 50), maxlen=15, approximate=False)
    report = desk.take()
    assert (report.read, report.lost, report.lost_total) == (15, 25, 25)
    desk.add(50)
    report = desk.take()
    assert (report.lost, report.lost_total) == (0, 25)


def test_entries_trimmed_after_they_were_read_are_not_lost(desk):
    desk.add(*range(20))
    desk.take()
    desk.client.xtrim(desk.key, maxlen=0)
    desk.add(20)
    report = desk.take()
    assert (report.lost, report.read, numbers(desk.store)) == (0, 1, list(range(21)))


def test_what_was_trimmed_before_the_first_look_and_what_was_deleted_is_lost_too(desk):
    desk.add(*range(30), maxlen=20, approximate=False)
    entries = desk.client.xrange(desk.key)
    desk.client.xdel(desk.key, entries[5][0], entries[19][0])
    assert (desk.take().lost, len(numbers(desk.store))) == (12, 18)


def test_losses_are_counted_over_several_pages(desk):
    desk.add(*range(3 * PAGE))
    with pytest.raises(RunCancelled):
        desk.take(notify=cancel)
    desk.client.xtrim(desk.key, maxlen=PAGE + 1, approximate=False)
    report = desk.take()
    assert (report.read, report.lost) == (PAGE + 1, PAGE - 1)


def cancel(_progress):
    raise RunCancelled("stopped")


def test_a_stop_between_two_pages_keeps_what_was_read(desk):
    desk.add(*range(2 * PAGE))
    with pytest.raises(RunCancelled):
        desk.take(notify=cancel)
    assert numbers(desk.store) == list(range(PAGE))
    report = desk.take()
    assert (report.read, report.appended, report.duplicates) == (PAGE, PAGE, 0)


@pytest.mark.parametrize("ids", [["1-1", "1-2", "1-3", "1-4", "1-5"], ["900-1", "900-2", "900-3"]])
def test_a_stream_that_was_made_anew_is_read_from_its_beginning(desk, ids):
    for number, entry_id in enumerate(["500-1", "500-2", "500-3", "500-4"]):
        desk.add(number, entry_id=entry_id)
    desk.take()
    desk.client.delete(desk.key)
    for number, entry_id in enumerate(ids, start=10):
        desk.add(number, entry_id=entry_id)
    report = desk.take()
    assert (report.restarted, report.appended, report.lost) == (True, len(ids), 0)
    assert not desk.take().restarted
    assert numbers(desk.store) == [0, 1, 2, 3, *range(10, 10 + len(ids))]


def test_an_entry_under_an_id_that_was_used_before_is_another_event(desk):
    desk.add(1, entry_id="5-1")
    desk.take()
    desk.client.delete(desk.key)
    assert not desk.take().appended
    desk.add(2, entry_id="5-1")
    assert desk.take().appended == 1


# What fails


def test_a_server_that_is_down_is_a_transient_error_that_hides_the_password(start_redis):
    server = start_redis()
    desk = Desk(server.url)
    desk.add(*range(2 * PAGE))
    desk.client.close()

    def kill(_progress):
        server.process.kill()
        server.process.wait()

    with pytest.raises(SourceUnavailable, match="try again when it answers") as error:
        desk.take(notify=kill)
    assert "s3cret" not in str(error.value)
    assert numbers(desk.store) == list(range(PAGE))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url: url.replace("s3cret", "wr0ng"), "refuses to show"),
        (lambda url: url.replace(":s3cret@", ""), "refuses to show"),
        (lambda url: url.replace("s3cret", "s3cr/et"), "cannot be read"),
        (lambda url: url.replace("redis://", "http://"), "cannot be read"),
    ],
)
def test_a_wrong_url_says_what_to_change_and_shows_no_password(desk, change, says):
    with (
        pytest.raises(ConfigurationError, match=says) as error,
        redis_streams(change(desk.url), [desk.key]) as streams,
    ):
        take_entries(desk.store, desk.positions, streams)
    assert not any(secret in str(error.value) for secret in ("s3cret", "wr0ng", "s3cr/et"))


def test_a_key_that_is_no_stream_is_a_mistake_in_the_configuration(desk):
    desk.client.set(desk.key, "text")
    with pytest.raises(ConfigurationError, match="is no stream"):
        desk.take()


READER = """
import os, signal, sys
from pipelines_persistence.adapters.redis_streams import redis_streams
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.feed_positions import SqlFeedPositions
from pipelines_persistence.events.entry_feed import take_entries

database, url, key, moment, calls = sys.argv[1:]

def dying(moment_here, function):
    left = [int(calls)]
    def call(*arguments):
        result = function(*arguments)
        left[0] -= moment_here == moment
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

engine = open_database(database)
store, positions = SqlEventStore(engine), SqlFeedPositions(engine)
store.import_events = dying("append", store.import_events)
positions.put = dying("put", positions.put)
with redis_streams(url, [key]) as streams:
    streams[0].page = dying("page", streams[0].page)
    take_entries(store, positions, streams)
"""


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_reader_killed_at_any_moment_loses_nothing_and_doubles_nothing(desk, request, database):
    url = request.getfixturevalue(f"{database}_url")
    desk.add(*range(4 * PAGE))
    for moment in ("append 1", "put 1", "page 2"):
        command = [sys.executable, "-c", READER, url, desk.url, desk.key, *moment.split()]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    command = [sys.executable, "-c", READER, url, desk.url, desk.key, "never", "1"]
    subprocess.run(command, check=True)
    store = SqlEventStore(open_database(url))
    assert numbers(store) == list(range(4 * PAGE))
    assert [json.loads(event.data)["n"] for event in store.read("order-0")] == list(range(0, 4 * PAGE, 7))
    store.close()
