"""Read models through the command line, a fresh process for each step."""

import json
import signal
import time

import pytest

EVENTS = [
    ("user-1", "UserCreated", "2026-01-01T00:00:00Z", {"name": "Zoë"}),
    ("user-2", "UserCreated", "2026-01-02T00:00:00+02:00", {}),
    ("user-1", "UserDeleted", "2026-01-03T00:00:00Z", {}),
]


@pytest.fixture(params=["sqlite", "postgres"])
def events(desk, request):
    """Return a desk whose log, in one database or the other, holds three events."""
    if request.param == "postgres":
        desk.env["PIPELINES_DATABASE_URL"] = request.getfixturevalue("postgres_url").replace("+psycopg", "")
    write(desk, EVENTS)
    assert desk.run("events", "load", "log.jsonl")["appended"] == 3
    return desk


def write(desk, events):
    lines = [
        json.dumps({"stream_id": stream, "event_type": type_, "timestamp": at, "data": data})
        for stream, type_, at, data in events
    ]
    (desk.folder / "log.jsonl").write_text("\n".join(lines))


def alive(desk, *arguments):
    return {row["entity"] for row in desk.run("show", "live_entities", *arguments)["rows"]}


def test_what_was_loaded_is_projected_and_shown(events):
    reports = {report["projection"]: report for report in events.run("project")["projections"]}
    assert len(reports) == 8
    assert (reports["live_entities"]["events"], reports["live_entities"]["rows"]) == (3, 1)
    assert alive(events) == {"user-2"}
    assert [report["events"] for report in events.run("project")["projections"]] == [0] * 8
    [row] = events.run("show", "stream_summary", "--where", "events=2", "--where", "category=user")["rows"]
    assert (row["stream"], row["first_at"]) == ("user-1", "2026-01-01T00:00:00Z")
    assert len(events.run("show", "event_type_counts", "--limit", "1")["rows"]) == 1


def test_a_read_model_is_shown_as_it_stood(events):
    [report] = events.run("project", "live_entities", "--as-of", "2026-01-02T12:00:00Z")["projections"]
    assert (report["events"], report["rows"]) == (2, 2)
    assert alive(events, "--as-of", "2026-01-01T12:00:00+00:00") == {"user-1"}
    assert alive(events, "--as-of", "2026-01-01T12:00:00+00:00", "--clock", "recorded") == set()


def test_a_rebuild_is_swapped_in_and_can_be_taken_back(events):
    first = events.run("project", "live_entities")["projections"][0]["build"]
    second = events.run("project", "live_entities", "--rebuild")["projections"][0]["build"]
    assert second > first
    assert events.run("project", "live_entities", "--rollback")["projections"][0]["build"] == first
    assert alive(events) == {"user-2"}


def test_a_changed_configuration_is_built_anew(events):
    events.run("project", "live_entities")
    (events.folder / "pipelines.yaml").write_text(
        "indexes: {docs: {sources: [{name: docs, uri: docs}]}}\n"
        "events: {projections: {live_entities: {options: {deleted: [Archived]}}, tool_usage: {enabled: false}}}\n"
    )
    assert len(events.run("project")["projections"]) == 7
    assert alive(events) == {"user-1", "user-2"}


def test_a_projection_of_ones_own_that_fails_is_reported_and_keeps_no_other_from_its_work(events):
    (events.folder / "ours.py").write_text(
        "import msgspec\n"
        "from pipelines_persistence.projections import Projection, Table, on\n"
        "class Row(msgspec.Struct):\n    stream: str\n"
        "class Ours(Projection):\n"
        "    name = 'ours'\n    tables = (Table(Row, key=['stream']),)\n"
        "    @on()\n    def any(self, event, models):\n"
        "        if event.type == 'UserDeleted':\n            raise ValueError('no deletion here')\n"
        "        models[Row].put(Row(event.stream))\n"
    )
    configuration = (
        "indexes: {{docs: {{sources: [{{name: docs, uri: docs}}]}}}}\n"
        "events: {{projections: {{ours: {{projection: 'ours:Ours', skip_failing: {}}}}}}}\n"
    )
    (events.folder / "pipelines.yaml").write_text(configuration.format("false"))
    reports = {report["projection"]: report for report in events.run("project", code=1)["projections"]}
    assert (
        "UserDeleted at version 2 of 'user-1' cannot be worked in: ValueError: no deletion here"
        in (reports["ours"]["error"]["message"])
    )
    assert reports["live_entities"]["rows"] == 1
    (events.folder / "pipelines.yaml").write_text(configuration.format("true"))
    [report] = events.run("project", "ours")["projections"]
    assert (report["rows"], report["dead_letters"]) == (2, 1)
    [letter] = events.run("show", "ours", "--dead")["rows"]
    assert (letter["stream"], letter["error"]) == ("user-1", "ValueError: no deletion here")


def test_following_shows_what_comes_until_it_is_interrupted(events):
    with events.start("project", "live_entities", "--follow") as follower:
        try:
            write(events, [("user-9", "UserCreated", "2026-01-04T00:00:00Z", {})])
            events.run("events", "load", "log.jsonl")
            deadline = time.monotonic() + 60
            while True:
                shown = events.start("show", "live_entities", "--json")
                output, _ = shown.communicate()
                if shown.returncode == 0 and "user-9" in output:
                    break
                assert time.monotonic() < deadline, "the follower sees nothing"
        finally:
            follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nothing"], "no projection 'nothing'"),
        (["show", "live_entities"], "was never built"),
        (["project", "live_entities", "--rollback"], "no previous build"),
        (["project", "--rollback"], "needs the name"),
        (["project", "--as-of", "2026-01-01"], "expected a moment with its zone"),
        (["project", "--follow", "--rebuild"], "exclude one another"),
        (["show", "live_entities", "--dead", "--where", "nope=1"], "--dead shows events and no rows"),
        (["show", "live_entities", "--dead", "--order", "zzz"], "leave --where, --spec, --order"),
        (["show", "live_entities", "--dead", "--spec", "nope"], "--dead shows events"),
        (["show", "live_entities", "--dead", "--after", "nope"], "--dead shows events"),
        (["show", "live_entities", "--dead", "--include", "nope"], "--dead shows events"),
        (["show", "live_entities", "--limit", "9223372036854775807"], "1000000"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(desk, arguments, message):
    assert message in desk.run(*arguments, code=2)["error"]["message"]


def test_the_doctor_tells_whether_the_log_answers(events):
    checks = {check["name"]: check for check in events.run("doctor")["checks"]}
    assert checks["events"]["status"] == "ok"
    assert "answers, the log ends at 0" in checks["events"]["detail"]


def test_the_doctor_tells_why_the_log_does_not_answer_and_no_password(desk):
    desk.env["PIPELINES_DATABASE_URL"] = "postgresql://user:hush-hush@127.0.0.1:1/none"
    report = desk.run("doctor", code=1)
    [check] = [check for check in report["checks"] if check["name"] == "events"]
    assert check["status"] == "failed"
    assert "hush-hush" not in str(report)


def test_a_condition_that_names_no_column_says_which_there_are(events):
    events.run("project", "live_entities")
    error = events.run("show", "live_entities", "--where", "colour=red", code=2)["error"]
    assert "there are entity, since, last_event, last_at" in error["message"]


def test_rows_are_asked_for_by_conditions_in_an_order_and_page_by_page(events):
    write(events, [(f"job-{n}", "JobCreated", f"2026-02-0{n}T00:00:00Z", {}) for n in range(1, 6)])
    events.run("events", "load", "log.jsonl")
    events.run("project", "live_entities", "stream_summary")
    asked = ("show", "live_entities", "--where", "entity^=job", "--where", "since>=2026-02-02T00:00:00Z")
    order = ("--order", "-since", "--limit", "3")
    first = events.run(*asked, *order)
    rest = events.run(*asked, *order, "--after", first["next"])
    assert [row["entity"] for row in first["rows"] + rest["rows"]] == ["job-5", "job-4", "job-3", "job-2"]
    assert rest["next"] is None
    wrong = events.run(*asked, "--after", first["next"], code=2)["error"]["message"]
    assert "another table or order" in wrong
    assert (
        "no specification 'old'"
        in events.run("show", "live_entities", "--spec", "old", code=2)["error"]["message"]
    )


def test_pipelines_are_shown_by_specification_with_their_batches(events):
    (events.docs / "a.md").write_text("# Title\n\nSome text.")
    events.run("ingest", "--docs", str(events.docs), "--embedder", "hash")
    events.run("project")
    shown = events.run(
        "show",
        "pipeline_board",
        "--include",
        "batches",
        "--spec",
        "pipelines_updated_since:2026-01-01T00:00:00Z",
    )
    [[batch]] = shown["related"]["batches"]
    assert (shown["rows"][0]["documents"], batch["stream"]) == (1, shown["rows"][0]["stream"])
    assert events.run("show", "pipeline_board", "--spec", "active_pipelines")["rows"] == []
    for wrong, takes in [
        ("pipelines_by_tag", "KEY,VALUE; got none"),
        ("active_pipelines:1", "no argument; got 1"),
    ]:
        error = events.run("show", "pipeline_board", "--spec", wrong, code=2)["error"]["message"]
        assert f"takes {takes}" in error
    error = events.run("show", "pipeline_board", "--include", "steps", code=2)["error"]["message"]
    assert "there are reasoning_steps, batches" in error
