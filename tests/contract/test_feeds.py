"""Feeds: positions in memory, SQLite and PostgreSQL, and files and folders of JSONL that are taken in over them."""

import gzip
import json
import os
import shutil
from datetime import UTC, datetime

import pytest

from pipelines_persistence.adapters.event_files import LocalFile, event_files
from pipelines_persistence.adapters.inbox_folder import InboxFolder
from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_feeds import MemoryFeedPositions
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.feed_positions import SqlFeedPositions
from pipelines_persistence.errors import ConfigurationError, RunCancelled, SourceUnavailable
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.events.feeds import feed_name
from pipelines_persistence.events.inbox import pending, take_in
from pipelines_persistence.events.intake import load
from pipelines_persistence.events.jsonl import LONGEST_LINE


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def both(request):
    """A log, and positions beside it."""
    if request.param == "memory":
        yield MemoryEventStore(), MemoryFeedPositions()
        return
    engine = open_database(request.getfixturevalue(f"{request.param}_url"))
    store = SqlEventStore(engine)
    yield store, SqlFeedPositions(engine)
    store.close()


@pytest.fixture
def store(both):
    return both[0]


@pytest.fixture
def positions(both):
    return both[1]


def lines(*numbers, **changes):
    return b"".join(
        json.dumps(
            {
                "stream_id": f"order-{number % 3}",
                "event_type": "Placed",
                "timestamp": f"2026-01-01T12:00:{number % 60:02}Z",
                "data": {"number": number},
                **changes,
            }
        ).encode()
        + b"\n"
        for number in numbers
    )


def numbers(store):
    return sorted(json.loads(event.data)["number"] for event in store.read_all())


def load_one(store, path, content, **options):
    path.write_bytes(content)
    return load(store, [LocalFile(path, path.name)], **options)


class Dying:
    """Positions whose process dies before one is kept."""

    def __init__(self, positions):
        self.beginning = positions.beginning

    def put(self, feed, position):  # noqa: ARG002 - the port's signature
        raise KeyboardInterrupt


# Positions


def test_a_position_is_remembered_until_a_newer_one_is(positions):
    assert positions.get("inbox:a") is None
    positions.put("inbox:a", "1")
    positions.put("inbox:b", "2")
    positions.put("inbox:a", "3 é")
    assert (positions.get("inbox:a"), positions.get("inbox:b")) == ("3 é", "2")


def test_positions_are_listed_by_the_beginning_of_their_names(positions):
    for feed in ("in_box:a", "in_box:é%", "In_box:a", "inXbox:a", "redis:in_box:"):
        positions.put(feed, feed.upper())
    assert positions.beginning("in_box:") == {"in_box:a": "IN_BOX:A", "in_box:é%": "IN_BOX:É%"}


def test_a_position_says_when_it_was_kept_in_sql(sqlite_url):
    engine = open_database(sqlite_url)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    SqlFeedPositions(engine, lambda: moment).put("a", "1")
    with engine.connect() as connection:
        assert (
            connection.exec_driver_sql("SELECT updated_at FROM event_feeds").scalar()
            == moment.timestamp() * 1e6
        )
    assert SqlFeedPositions(engine).get("a") == "1"
    engine.dispose()


def test_a_name_too_long_for_an_index_is_shortened_and_stays_its_own():
    names = [feed_name(f"inbox:{'é' * 5000}{end}") for end in "ab"]
    assert len(set(names)) == 2
    assert all(len(name) == 500 for name in names)
    assert feed_name("inbox:a") == "inbox:a"


# Loading


def test_half_of_a_file_and_then_all_of_it_leaves_each_event_once(store, tmp_path):
    half = load_one(store, tmp_path / "a.jsonl", lines(1, 2, 2, 3))
    whole = load_one(store, tmp_path / "b.jsonl", lines(1, 2, 2, 3, 4, 2))
    again = load_one(store, tmp_path / "b.jsonl", lines(1, 2, 2, 3, 4, 2))
    assert [(report.read, report.appended, report.duplicates) for report in (half, whole, again)] == [
        (4, 4, 0),
        (6, 2, 4),
        (6, 0, 6),
    ]
    assert numbers(store) == [1, 2, 2, 2, 3, 4]
    assert [event.version for event in store.read("order-2")] == [1, 2, 3]


def test_malformed_lines_are_named_and_the_good_ones_are_in(store, tmp_path):
    content = b"\xef\xbb\xbf" + lines(1) + b"\r\n  \n" + lines(2, timestamp="now") + b"{\n" + lines(3)[:-1]
    report = load_one(store, tmp_path / "a.jsonl", content)
    assert numbers(store) == [1, 3]
    assert [(line.file, line.line, line.field) for line in report.rejected] == [
        ("a.jsonl", 4, "timestamp"),
        ("a.jsonl", 5, None),
    ]
    assert str(report.rejected[0]) == (
        'a.jsonl:4: timestamp: "now" is no time: write it like 2026-01-31T12:00:00.5+02:00'
    )
    assert (report.read, report.appended, report.rejected_total, report.streams) == (4, 2, 2, 2)


def test_strict_appends_nothing_if_any_file_has_a_malformed_line(store, tmp_path):
    (tmp_path / "good.jsonl").write_bytes(lines(*range(1500)))
    (tmp_path / "bad.jsonl").write_bytes(lines(1) + b"{")
    with event_files([str(tmp_path / "good.jsonl"), str(tmp_path / "bad.jsonl")]) as files:
        report = load(store, files, strict=True)
        assert (report.read, report.appended, report.rejected_total) == (1502, 0, 1)
        assert list(store.read_all()) == []
        assert load(store, files[:1], strict=True).appended == 1500


def test_a_report_lists_a_thousand_malformed_lines_and_counts_the_others(store, tmp_path):
    report = load_one(store, tmp_path / "a.jsonl", b"{\n" * 1200 + lines(1))
    assert (len(report.rejected), report.rejected_total, report.appended) == (1000, 1200, 1)


def test_events_of_closed_streams_are_refused_and_counted(store, tmp_path):
    store.append("order-1", [NewEvent("Placed")], Expected.ANY)
    store.archive("order-1")
    report = load_one(store, tmp_path / "a.jsonl", lines(1, 2, 4))
    assert (report.read, report.appended, report.refused) == (3, 1, 2)


@pytest.mark.parametrize("strict", [False, True])
def test_a_gzip_file_that_is_cut_off_says_so_and_what_came_before_is_in_unless_strict(tmp_path, strict):
    store = MemoryEventStore()
    numbers_in = range(5000)
    whole = gzip.compress(b"".join(lines(n, causation_id=os.urandom(8).hex()) for n in numbers_in))
    with pytest.raises(
        SourceUnavailable, match="nothing was appended" if strict else "new events before that are in"
    ):
        load_one(store, tmp_path / "a.jsonl.gz", whole[: len(whole) // 2], strict=strict)
    taken = len(list(store.read_all()))
    assert taken == 0 if strict else 1000 < taken < 4000
    load_one(store, tmp_path / "a.jsonl.gz", whole)
    assert numbers(store) == list(numbers_in)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines(1) + lines(2)),
        ("a.jsonl.gz", gzip.compress(lines(1)) + gzip.compress(lines(2))),
        ("named-otherwise.jsonl", gzip.compress(lines(1, 2))),
        ("unpacked-on-the-way.jsonl.gz", lines(1, 2)),
    ],
)
def test_files_are_unpacked_by_what_they_hold(tmp_path, name, content):
    store = MemoryEventStore()
    assert load_one(store, tmp_path / name, content).appended == 2
    assert numbers(store) == [1, 2]


def test_a_line_beyond_the_limit_is_skipped_and_the_next_one_is_read(tmp_path):
    store = MemoryEventStore()
    long = lines(1, data={"number": 1, "text": "x" * (2 * LONGEST_LINE)})
    report = load_one(store, tmp_path / "a.jsonl", long + lines(2))
    assert ([line.line for line in report.rejected], numbers(store)) == ([1], [2])


@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_a_file_that_is_not_there_is_known_before_any_is_read(tmp_path, name):
    (tmp_path / "a.jsonl").write_bytes(lines(1))
    with (
        pytest.raises(ConfigurationError, match="nothing was read"),
        event_files([str(tmp_path / "a.jsonl"), str(tmp_path / name)]),
    ):
        pytest.fail("it was opened")


def stop_after(most):
    def notify(progress):
        if progress.read >= most:
            raise RunCancelled("stopped")

    return notify


def test_a_load_that_is_stopped_keeps_what_it_has_read_and_goes_on_when_repeated(store, tmp_path):
    content = lines(*range(5000))
    with pytest.raises(RunCancelled):
        load_one(store, tmp_path / "a.jsonl", content, notify=stop_after(2000))
    assert numbers(store) == list(range(1999))
    with pytest.raises(RunCancelled):
        load_one(store, tmp_path / "a.jsonl", content, strict=True, notify=stop_after(4000))
    assert len(numbers(store)) == 1999
    assert load_one(store, tmp_path / "a.jsonl", content).appended == 3001
    assert numbers(store) == list(range(5000))


# The inbox


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def inbox(folder):
    return InboxFolder(folder, "inbox")


def test_only_files_that_are_new_or_have_changed_are_read(store, positions, inbox, folder):
    (folder / "a.jsonl").write_bytes(lines(1, 2))
    (folder / "day" / "one").mkdir(parents=True)
    (folder / "day" / "one" / "b.jsonl.gz").write_bytes(gzip.compress(lines(3)))
    (folder / "notes.txt").write_bytes(b"no events")
    first = take_in(store, positions, inbox.files())
    assert (first.files, first.changed, first.load.appended) == (2, 2, 3)
    assert pending(positions, inbox.files()) == []
    second = take_in(store, positions, inbox.files())
    assert (second.files, second.changed, second.load.read) == (2, 0, 0)
    with (folder / "a.jsonl").open("ab") as file:
        file.write(lines(4))
    assert [file.name for file in pending(positions, inbox.files())] == ["inbox/a.jsonl"]
    third = take_in(store, positions, inbox.files())
    assert (third.changed, third.load.appended, third.load.duplicates) == (1, 1, 2)
    assert numbers(store) == [1, 2, 3, 4]


def test_a_line_that_is_still_being_written_waits_for_its_end(store, positions, inbox, folder):
    first, second = lines(1), lines(2)
    (folder / "a.jsonl").write_bytes(first + second[:30])
    report = take_in(store, positions, inbox.files())
    assert (report.load.appended, report.load.rejected_total, report.waiting) == (1, 0, {"inbox/a.jsonl": 2})
    assert take_in(store, positions, inbox.files()).waiting == {"inbox/a.jsonl": 2}
    (folder / "a.jsonl").write_bytes(first + second)
    report = take_in(store, positions, inbox.files())
    assert (report.load.appended, report.waiting, numbers(store)) == (1, {}, [1, 2])


def test_a_last_line_without_end_that_is_an_event_is_taken_at_once(store, positions, inbox, folder):
    (folder / "a.jsonl").write_bytes(lines(1, 2)[:-1])
    report = take_in(store, positions, inbox.files())
    assert (report.load.appended, report.waiting) == (2, {})
    (folder / "a.jsonl").write_bytes(lines(1, 2, 3))
    take_in(store, positions, inbox.files())
    assert numbers(store) == [1, 2, 3]


def test_malformed_lines_are_listed_once_and_counted_for_as_long_as_they_stand(
    store, positions, inbox, folder
):
    (folder / "a.jsonl").write_bytes(b"{\n" + lines(1))
    first = take_in(store, positions, inbox.files())
    assert ([str(line) for line in first.load.rejected], first.malformed) == (
        ["inbox/a.jsonl:1: the line is no JSON: Input data was truncated"],
        1,
    )
    second = take_in(store, positions, inbox.files())
    assert (second.load.rejected_total, second.malformed) == (0, 1)
    (folder / "a.jsonl").write_bytes(lines(0, 1))
    assert take_in(store, positions, inbox.files()).malformed == 0


def test_a_file_that_cannot_be_read_whole_is_read_again_and_keeps_no_other_from_it(
    store, positions, inbox, folder
):
    whole = gzip.compress(lines(1, 2, 3))
    (folder / "a.jsonl.gz").write_bytes(whole[:-10])
    (folder / "b.jsonl").write_bytes(lines(4))
    os.mkfifo(folder / "c.jsonl")
    (folder / "d.jsonl").symlink_to("nowhere")
    for _ in range(2):
        report = take_in(store, positions, inbox.files())
        assert set(report.broken) == {"inbox/a.jsonl.gz", "inbox/c.jsonl", "inbox/d.jsonl"}
        assert "cut off, or is still being written" in report.broken["inbox/a.jsonl.gz"]
        assert 4 in numbers(store)
    (folder / "a.jsonl.gz").write_bytes(whole)
    take_in(store, positions, inbox.files())
    assert numbers(store) == [1, 2, 3, 4]


def test_moving_or_copying_a_file_doubles_nothing(store, positions, inbox, folder):
    (folder / "a.jsonl").write_bytes(lines(1, 1, 2))
    take_in(store, positions, inbox.files())
    shutil.copy(folder / "a.jsonl", folder / "b.jsonl")
    (folder / "a.jsonl").rename(folder / "c.jsonl")
    report = take_in(store, positions, inbox.files())
    assert (report.changed, report.load.appended, numbers(store)) == (2, 0, [1, 1, 2])


def test_dying_before_the_position_is_kept_loses_nothing_and_doubles_nothing(store, positions, inbox, folder):
    (folder / "a.jsonl").write_bytes(lines(1, 1, 2))
    with pytest.raises(KeyboardInterrupt):
        take_in(store, Dying(positions), inbox.files())
    assert len(pending(positions, inbox.files())) == 1
    report = take_in(store, positions, inbox.files())
    assert (report.load.duplicates, numbers(store)) == (3, [1, 1, 2])


def test_a_round_that_is_stopped_remembers_what_it_has_read_whole(store, positions, inbox, folder):
    (folder / "a.jsonl").write_bytes(lines(*range(1500)))
    (folder / "b.jsonl").write_bytes(lines(*range(1500, 3000)))
    with pytest.raises(RunCancelled):
        take_in(store, positions, inbox.files(), notify=stop_after(2000))
    assert [file.name for file in pending(positions, inbox.files())] == ["inbox/b.jsonl"]
    take_in(store, positions, inbox.files())
    assert numbers(store) == list(range(3000))


def test_what_is_hidden_is_left_alone_and_names_stay_apart(inbox, folder):
    for name in (".part.jsonl", ".git/x.jsonl", "b.jsonl", "a.jsonl", "caf\u00e9.jsonl", "cafe\u0301.jsonl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    os.close(os.open(os.fsencode(folder) + b"/\xff.jsonl", os.O_CREAT))
    files = inbox.files()
    assert [file.name for file in files][:2] == ["inbox/a.jsonl", "inbox/b.jsonl"]
    assert len({file.feed for file in files}) == 5
    assert all(file.feed.startswith("inbox:inbox/") for file in files)


def test_an_inbox_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SourceUnavailable, match="the inbox new cannot be read"):
        InboxFolder(tmp_path / "none", "new").files()
