"""`pipelines events …` as a user meets it: the console script, a fresh process for each step."""

import gzip
import json
import select
import shutil
import signal
import subprocess
from collections import Counter

import msgspec
import pytest

from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.errors import ConcurrencyConflict
from tests.behaviour.conftest import PIPELINES

SETS = ["git-fastapi", "helpdesk", "receipt", "roadtraffic100", "running-example"]


@pytest.fixture(autouse=True)
def _migrated(desk, sqlite_url):
    """Spare each test the making of the tables."""
    (desk.folder / "home").mkdir()
    shutil.copy(sqlite_url.removeprefix("sqlite:///"), desk.folder / "home")


def lines(*numbers, **changes):
    return "".join(
        json.dumps(
            {
                "stream_id": f"order-{number % 3}",
                "event_type": "Placed",
                "timestamp": f"2026-01-01T12:00:{number:02}Z",
                "data": {"number": number},
                **changes,
            }
        )
        + "\n"
        for number in numbers
    )


def load(desk, *arguments, **options):
    return desk.run("events", "load", *arguments, **options)


def read(desk, stream, *arguments, **options):
    return desk.run("events", "read", stream, *arguments, **options)


def start(desk, *arguments, **options):
    return subprocess.Popen(
        [str(PIPELINES), "events", *arguments],
        cwd=desk.folder,
        env=desk.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def output_of(desk, *arguments, code=0, stdin=None, **env):
    done = subprocess.run(
        [str(PIPELINES), "events", *arguments],
        cwd=desk.folder,
        env={**desk.env, **env},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def stored(desk):
    store = SqlEventStore(open_database(f"sqlite:///{desk.folder}/home/events.sqlite"))
    events = list(store.read_all())
    store.close()
    return events


# load


@pytest.mark.parametrize("name", SETS)
def test_a_real_log_is_in_as_its_answer_sheet_says(desk, shared_data, name):
    folder = shared_data(f"events-{name}")
    facts = json.loads((folder / "facts.json").read_text())
    [file] = folder.glob("events.jsonl*")
    report = load(desk, str(file))
    counts = (report["read"], report["appended"], report["streams"], report["rejected"])
    assert counts == (facts["events"], facts["events"], facts["streams"], [])
    events = stored(desk)
    assert Counter(event.type for event in events) == facts["events_per_type"]
    assert len({event.stream for event in events}) == facts["streams"]


def test_half_of_a_log_and_then_all_of_it_and_again_leaves_each_event_once(desk, shared_data):
    source = shared_data("events-receipt") / "events.jsonl"
    content = source.read_bytes().splitlines(keepends=True)
    (desk.folder / "half.jsonl.gz").write_bytes(gzip.compress(b"".join(content[:4000])))
    reports = [load(desk, name) for name in ("half.jsonl.gz", str(source), str(source))]
    assert [(report["appended"], report["duplicates"]) for report in reports] == [
        (4000, 0),
        (4577, 4000),
        (0, 8577),
    ]
    assert len(stored(desk)) == 8577


def test_malformed_lines_are_named_on_standard_error_and_the_good_ones_are_in(desk):
    (desk.folder / "a.jsonl").write_text(
        "\ufeff" + lines(1) + "\n{oops\n" + lines(2, timestamp="2026-01-01T12:00:00")
    )
    report = load(desk, "a.jsonl")
    assert [(line["file"], line["line"], line["field"]) for line in report["rejected"]] == [
        ("a.jsonl", 3, None),
        ("a.jsonl", 4, "timestamp"),
    ]
    assert "give its zone" in report["rejected"][1]["reason"]
    assert (report["read"], report["appended"], report["rejected_total"]) == (3, 1, 2)
    again = output_of(desk, "load", "a.jsonl")
    assert "0 appended" in again.stdout
    assert [line.split(": ")[0] for line in again.stderr.splitlines()] == ["a.jsonl:3", "a.jsonl:4"]


def test_a_place_in_a_file_is_shown_as_it_is(desk):
    (desk.folder / "a.jsonl").write_text("{\n" * 101)
    assert [line.split(": ")[0] for line in output_of(desk, "load", "a.jsonl").stderr.splitlines()][99:] == [
        "a.jsonl:100",
        "a.jsonl:101",
    ]


def test_strict_refuses_all_files_for_one_malformed_line(desk):
    (desk.folder / "good.jsonl").write_text(lines(1, 2))
    (desk.folder / "bad.jsonl").write_text(lines(3) + "{oops")
    report = load(desk, "good.jsonl", "bad.jsonl", "--strict", code=1)
    assert (report["appended"], report["rejected_total"], stored(desk)) == (0, 1, [])
    assert load(desk, "good.jsonl", "--strict")["appended"] == 2


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_standard_input_is_a_file_too(desk, strict):
    done = output_of(desk, "load", "-", "--json", *strict, stdin=lines(1, 2))
    assert json.loads(done.stdout)["appended"] == 2
    assert len(stored(desk)) == 2


@pytest.mark.parametrize(("name", "kind"), [("none.jsonl", 2), ("cut.jsonl.gz", 1)])
def test_a_file_that_cannot_be_read_is_said_in_json_too(desk, name, kind):
    (desk.folder / "cut.jsonl.gz").write_bytes(gzip.compress(lines(1, 2, 3).encode())[:-9])
    error = load(desk, name, code=kind)["error"]
    assert error["type"] == ("ConfigurationError" if kind == 2 else "SourceUnavailable")
    assert name in error["message"]


def test_a_load_that_is_interrupted_says_so_and_goes_on_when_it_is_repeated(desk):
    content = lines(*range(60)) * 500
    (desk.folder / "a.jsonl").write_text(content)
    half = len(content) // 2
    with start(desk, "load", "-", "--json", stdin=subprocess.PIPE) as process:
        process.stdin.write(content[:half])  # more than a pipe holds: it is being read when this returns
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(content[half:], timeout=60)
    assert process.returncode == 1
    assert json.loads(output)["error"]["type"] == "RunCancelled"
    before = len(stored(desk))
    assert 10_000 < before < 30_000
    assert load(desk, "a.jsonl")["duplicates"] == before
    assert len(stored(desk)) == 30_000


# append and read


def test_an_event_is_appended_at_the_version_that_is_expected_or_not_at_all(desk):
    first = desk.run(
        "events", "append", "o-1", "Placed", "--data", '{ "price":  1.10 }', "--expected", "no_stream"
    )
    assert (first["stream"], first["version"], set(first)) == (
        "o-1",
        1,
        {"stream", "version", "cursor", "event_id"},
    )
    error = desk.run("events", "append", "o-1", "Paid", "--expected", "7", code=1)["error"]
    assert (error["type"], error["expected"], error["actual"]) == (ConcurrencyConflict.__name__, 7, 1)
    assert desk.run("events", "append", "o-1", "Paid", "--expected", "1")["version"] == 2
    shown = read(desk, "o-1")
    assert (shown["stream"], shown["version"]) == ("o-1", 2)
    assert shown["events"][0]["event_id"] == first["event_id"]
    assert '"data":{ "price":  1.10 }' in output_of(desk, "read", "o-1", "--json").stdout


def test_all_that_an_event_can_say_is_appended_and_shown(desk):
    (desk.folder / "data.json").write_text('{"from": "file"}')
    given = ["--data", "@data.json", "--id", "key 7", "--occurred-at", "2026-01-01T12:00:00.5+02:00"]
    more = ["--correlation-id", "run", "--causation-id", "c", "--actor", "Zoë", "--schema-version", "3"]
    first, second = (desk.run("events", "append", "o-1", "Placed", *given, *more) for _ in range(2))
    assert first == second
    [event] = read(desk, "o-1")["events"]
    assert {key: event[key] for key in event if key not in {"recorded_at", "cursor"}} == {
        "version": 1,
        "event_id": first["event_id"],
        "event_type": "Placed",
        "schema_version": 3,
        "timestamp": "2026-01-01T10:00:00.500000Z",
        "data": {"from": "file"},
        "correlation_id": "run",
        "causation_id": "c",
        "actor": "Zoë",
    }
    assert event["cursor"] == first["cursor"]
    done = output_of(desk, "append", "o-2", "Placed", "--data", "-", "--json", stdin='{"from": "stdin"}')
    assert json.loads(done.stdout)["version"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["o-1", "Placed", "--data", "{"], 1, "EventRefused"),
        (["o-1", "Placed", "--occurred-at", "2026-01-01"], 2, "ConfigurationError"),
        (["o-1"], 2, "UsageError"),
    ],
)
def test_a_wrong_append_is_said_in_json(desk, arguments, code, kind):
    assert desk.run("events", "append", *arguments, code=code)["error"]["type"] == kind


def test_a_part_of_a_stream_is_read(desk):
    (desk.folder / "a.jsonl").write_text(lines(0, 3, 6, 9))
    load(desk, "a.jsonl")

    def versions(*arguments):
        return [event["version"] for event in read(desk, "order-0", *arguments)["events"]]

    assert versions("--from", "2", "--to", "4", "--backwards", "--limit", "2") == [4, 3]
    assert versions("--as-of", "2026-01-01T13:00:06+01:00") == [1, 2, 3]
    assert versions("--as-of", "2026-01-01T12:00:06Z", "--clock", "recorded") == []
    assert versions("--as-of", str(stored(desk)[1].cursor)) == [1, 2]
    assert read(desk, "none") == {"stream": "none", "version": 0, "events": []}


def test_a_stream_is_shown_to_people_one_line_an_event_without_what_steers_a_terminal(desk):
    (desk.folder / "a.jsonl").write_text(lines(1, event_type="\u001b[31mRed", data={"text": "x" * 500}))
    load(desk, "a.jsonl")
    [line] = output_of(desk, "read", "order-1").stdout.splitlines()
    assert line.startswith("     1  2026-01-01 12:00:01Z  \\x1b[31mRed  ")
    assert line.endswith("…")


def test_what_is_written_as_jsonl_can_be_loaded_elsewhere_as_the_same_events(desk):
    append = ["events", "append", "o-1", "Placed", "--actor", "Zoë", "--correlation-id", "run"]
    desk.run(*append, "--data", '{\n "price": 1.10 }', "--schema-version", "2")
    desk.run(*append)
    written = output_of(desk, "read", "o-1", "--jsonl").stdout
    here = stored(desk)
    (desk.folder / "home" / "events.sqlite").rename(desk.folder / "before.sqlite")
    assert json.loads(output_of(desk, "load", "-", "--json", stdin=written).stdout)["appended"] == 2
    for before, after in zip(here, stored(desk), strict=True):
        assert after.data == before.data.replace(b"\n", b" ")
        same = {"recorded_at": None, "data": b""}
        assert msgspec.structs.replace(before, **same) == msgspec.structs.replace(after, **same)


def test_a_closed_stream_takes_nothing_and_a_tombstone_removes_its_events(desk):
    desk.run("events", "append", "o-1", "Placed")
    assert "--yes" in desk.run("events", "archive", "o-1", code=2)["error"]["message"]
    assert desk.run("events", "archive", "o-1", "--yes")["version"] == 2
    assert desk.run("events", "append", "o-1", "Paid", code=1)["error"]["type"] == "StreamClosed"
    assert desk.run("events", "tombstone", "o-1", "--yes", "--actor", "Zoë")["version"] == 3
    assert [(event.type, event.actor) for event in stored(desk)] == [("$tombstoned", "Zoë")]


# tail


def test_the_log_is_written_from_a_place_and_of_what_was_asked_for(desk):
    (desk.folder / "a.jsonl").write_text(lines(1, 2) + lines(3, event_type="Paid", stream_id="invoice-7"))
    load(desk, "a.jsonl")

    def tail(*arguments):
        done = output_of(desk, "tail", "--no-follow", *arguments)
        return [json.loads(line) for line in done.stdout.splitlines()]

    whole = tail()
    assert [event["data"]["number"] for event in whole] == [1, 2, 3]
    assert tail("--after", whole[0]["cursor"]) == whole[1:]
    assert tail("--type", "Paid", "--category", "invoice") == whole[2:]
    assert tail("--limit", "2") == whole[:2]
    assert output_of(desk, "tail", "--after", "7", code=2).stdout == ""


def test_a_follower_sees_what_comes_and_ends_well_on_ctrl_c(desk):
    desk.run("events", "append", "o-1", "Before")
    with start(desk, "tail") as follower, start(desk, "tail", "--after", "start") as whole:
        first = next_line(whole)
        assert first["event_type"] == "Before"
        types = []
        for number in range(20):
            desk.run("events", "append", "o-1", f"T{number}")
            if ready(follower, 1):
                types.append(next_line(follower)["event_type"])
                break
        assert types == [f"T{number}"]
        for process in (follower, whole):
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr.read() == ""


def ready(process, seconds):
    return select.select([process.stdout], [], [], seconds)[0]


def next_line(process):
    assert ready(process, 30)
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize("arguments", [["tail", "--after", "start"], ["read", "order-1"]])
def test_a_reader_who_has_seen_enough_ends_it_quietly(desk, arguments):
    (desk.folder / "a.jsonl").write_text(lines(1, data={"text": "x" * 1000}) * 3000)
    load(desk, "a.jsonl")
    with start(desk, *arguments) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


# Where the events are


def test_the_database_is_chosen_by_option_or_environment(desk, postgres_url):
    url = postgres_url.replace("+psycopg", "")
    (desk.folder / "a.jsonl").write_text(lines(1, 2))
    assert load(desk, "a.jsonl", "--database", url)["appended"] == 2
    assert load(desk, "a.jsonl", PIPELINES_DATABASE_URL=url)["duplicates"] == 2
    assert desk.run("events", "append", "order-1", "Paid", "--database", url)["version"] == 2
    assert stored(desk) == []
    assert load(desk, "a.jsonl", "--database", "sqlite:///other.sqlite")["appended"] == 2
    assert (desk.folder / "other.sqlite").exists()


@pytest.mark.parametrize(
    ("url", "code"),
    [("mysql://u:s3cret@h/x", 2), ("", 2), ("postgresql://u:s3cret@127.0.0.1:1/x", 1)],
)
def test_a_database_that_cannot_be_had_says_so_and_shows_no_password(desk, url, code):
    with start(desk, "read", "a", "--json", "--database", url) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert json.loads(output.splitlines()[-1])["error"]["message"]
    assert "s3cret" not in output + errors
