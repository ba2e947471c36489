"""Several feeds together: one that is not there keeps no other from being taken in."""

import json

import pytest

from pipelines_persistence.adapters.inbox_folder import InboxFolder
from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_feeds import MemoryFeedPositions
from pipelines_persistence.errors import SourceUnavailable
from pipelines_persistence.events.feeds import Entry, EntryPage, silent
from pipelines_persistence.events.taking_in import signatures, take_in_all


class Stream:
    """A stream of entries in memory; `away` makes it fail."""

    name, feed = "orders", "redis:orders"

    def __init__(self):
        self.entries, self.away, self.trimmed = [], False, 0

    def add(self, number, data='{"total": 1}'):
        fields = {b"stream_id": b"order-1", b"event_type": b"Placed", b"data": data.encode()}
        self.entries.append(Entry(f"{number}-0", fields))

    def page(self, after, limit):
        if self.away:
            raise SourceUnavailable("away")
        number = int(after.partition("-")[0])
        later = [entry for entry in self.entries if int(entry.id.partition("-")[0]) > number]
        last = self.entries[-1].id if self.entries else "0-0"
        return EntryPage(later[:limit], last, len(self.entries) + self.trimmed)


@pytest.fixture
def feeds(tmp_path):
    """Return a store, positions, two folders of which one is missing, and a stream."""
    (tmp_path / "inbox").mkdir()
    folders = {name: InboxFolder(tmp_path / name, name) for name in ("inbox", "missing")}
    return MemoryEventStore(), MemoryFeedPositions(), folders, Stream()


def put(tmp_path, *streams):
    lines = [
        json.dumps(
            {"stream_id": stream, "event_type": "Came", "timestamp": "2026-01-01T00:00:00Z", "data": {}}
        )
        for stream in streams
    ]
    (tmp_path / "inbox" / "log.jsonl").write_text("".join(f"{line}\n" for line in lines))


def test_what_is_there_is_taken_in_and_what_is_not_is_told(feeds, tmp_path):
    store, positions, folders, stream = feeds
    put(tmp_path, "a", "b")
    stream.add(5)
    report = take_in_all(store, positions, folders, [stream], silent).as_json()
    assert (report["read"], report["appended"], report["rejected_total"], report["lost"]) == (3, 3, 0, 0)
    assert list(report["broken"]) == ["missing"]
    assert {event.stream for event in store.read_all()} == {"a", "b", "order-1"}


def test_a_server_that_is_away_keeps_no_file_from_being_taken_in(feeds, tmp_path):
    store, positions, folders, stream = feeds
    put(tmp_path, "a")
    stream.add(5)
    stream.away = True
    report = take_in_all(store, positions, folders, [stream], silent).as_json()
    assert (report["appended"], report["broken"]["orders"]) == (1, "away")
    stream.away = False
    assert take_in_all(store, positions, folders, [stream], silent).as_json()["appended"] == 1


def test_malformed_and_lost_entries_are_told_with_their_ids(feeds):
    store, positions, folders, stream = feeds
    stream.add(5)
    stream.add(6, data="{")
    stream.trimmed = 3
    report = take_in_all(store, positions, folders, [stream], silent).as_json()
    assert (report["read"], report["appended"], report["malformed"], report["lost"]) == (2, 1, 1, 3)
    [line] = report["rejected"]
    assert (line["file"], line["line"], line["field"]) == ("orders", "6-0", "data")
    assert "3 entries were dropped" in report["broken"]["orders"]
    again = take_in_all(store, positions, folders, [stream], silent).as_json()
    assert (again["read"], again["rejected"], again["malformed"], again["lost"]) == (0, [], 1, 0)


def test_more_malformed_entries_than_are_remembered_are_counted_and_the_last_are_told(feeds):
    store, positions, folders, stream = feeds
    for number in range(1, 31):
        stream.add(number, data="{")
    report = take_in_all(store, positions, folders, [stream], silent).as_json()
    assert report["rejected_total"] == 30
    assert [line["line"] for line in report["rejected"]] == [f"{number}-0" for number in range(11, 31)]


def test_a_feed_has_a_signature_while_it_holds_news_and_another_for_other_news(feeds, tmp_path):
    store, positions, folders, stream = feeds
    assert signatures(positions, folders, [stream]) == {"inbox": "", "missing": "unreachable", "orders": ""}
    put(tmp_path, "a")
    stream.add(5)
    first = signatures(positions, folders, [stream])
    assert first == signatures(positions, folders, [stream])
    assert first["orders"] == "5-0"
    put(tmp_path, "a", "b")
    assert signatures(positions, folders, [stream])["inbox"] not in ("", first["inbox"])
    take_in_all(store, positions, folders, [stream], silent)
    assert signatures(positions, folders, [stream]) == {"inbox": "", "missing": "unreachable", "orders": ""}
    stream.away = True
    assert signatures(positions, folders, [stream])["orders"] == "unreachable"
