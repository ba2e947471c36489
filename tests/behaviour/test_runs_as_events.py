"""Every ingestion run records itself as a stream of events, and never fails for it."""

import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines_persistence.pipelines import (
    IngestBatch,
    IngestBatchFailed,
    PipelineCreated,
    PipelineStatus,
    PipelineStatusChanged,
    registry,
)
from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings

CREATED, RUNNING, COMPLETED, FAILED, CANCELLED = (
    PipelineStatus.CREATED,
    PipelineStatus.RUNNING,
    PipelineStatus.COMPLETED,
    PipelineStatus.FAILED,
    PipelineStatus.CANCELLED,
)
MANY = 700  # documents: three batches


@contextmanager
def log(desk, url=None):
    settings = Settings(home=Path(desk.env["PIPELINES_HOME"]), database_url=url)
    with Platform(settings) as platform:
        yield platform.events


def runs(desk, url=None):
    """Return the events of each run, the oldest run first."""
    streams = {}
    with log(desk, url) as events:
        for event in events.read_all(categories=["pipeline"]):
            streams.setdefault(event.stream, []).append(registry.decode(event))
    assert all(stream.startswith("pipeline-docs-") for stream in streams)
    return list(streams.values())


def ids(run, kind=IngestBatch):
    return [one for event in run if isinstance(event, kind) for one in event.ids]


def statuses(run):
    return [event.status for event in run if isinstance(event, PipelineStatusChanged)]


def started(desk, documents, **env):
    """Begin a run of many batches, and return when the first is recorded; the process still runs."""
    for number in range(documents):
        desk.write(f"{number:04}.md", f"# Document {number}\n\nWords of {number}.")
    command = ["ingest", "--docs", str(desk.docs), "--embedder", "counting:Counting"]
    process = desk.start(*command, COUNTING_DELAY="0.3", **env)
    deadline = time.monotonic() + 60
    while not (
        (Path(desk.env["PIPELINES_HOME"]) / "events.sqlite").exists() or env.get("PIPELINES_DATABASE_URL")
    ) or not any(ids(run) for run in runs(desk, env.get("PIPELINES_DATABASE_URL"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_a_run_is_a_stream_with_one_event_for_each_batch_and_an_unchanged_one_has_no_batch(desk):
    for number in range(300):
        desk.write(f"{number:03}.md", f"# Document {number}\n\nWords of {number}.")
    desk.run("plan", "--docs", str(desk.docs), "--embedder", "counting:Counting")
    assert not (Path(desk.env["PIPELINES_HOME"]) / "events.sqlite").exists()  # a plan records nothing
    report = desk.ingest()
    desk.ingest()
    first, second = runs(desk)
    assert first[0] == second[0] == PipelineCreated("docs", {"index": "docs", "kind": "ingest"})
    assert statuses(first) == statuses(second) == [RUNNING, COMPLETED]
    batches = first[2:-1]
    assert [len(batch.ids) for batch in batches] == [256, 44]
    assert sorted(ids(first)) == [f"docs/{number:03}.md" for number in range(300)]
    assert sum(batch.chunks for batch in batches) == sum(batch.embedded for batch in batches) == 300
    numbers = first[-1].numbers
    assert (numbers["added"], numbers["embedded"]) == (report["documents"]["added"], report["embedded"])
    assert len(second) == 3
    assert second[-1].numbers["unchanged"] == 300


def test_failures_are_events_of_their_own_and_never_an_empty_batch(desk):
    desk.write("poison.md", "# Bad\n\nThis is POISON.")
    (desk.docs / "broken.pdf").write_bytes(b"%PDF-1.7\nno pdf")
    assert desk.ingest()["documents"]["failed"] == 2
    desk.write("good.md", "# Good\n\nWords.")
    desk.ingest()
    first, second = runs(desk)
    assert ids(first) == []
    assert ids(second) == ["docs/good.md"]
    for run in (first, second):
        failures = [event for event in run if isinstance(event, IngestBatchFailed)]
        assert {event.error_type: event.ids for event in failures} == {
            "not_embeddable": ("docs/poison.md",),
            "malformed": ("docs/broken.pdf",),
        }
        assert run[-1].numbers["failed"] == 2


def test_a_run_that_fails_or_is_stopped_says_why(desk):
    with started(desk, MANY) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 1
    folder = desk.docs
    desk.docs = desk.folder / "gone"
    desk.ingest(code=1)
    desk.docs = folder
    stopped, failed = runs(desk)
    assert statuses(stopped) == [RUNNING, CANCELLED]
    assert "SIGTERM" in stopped[-1].reason
    assert statuses(failed) == [RUNNING, FAILED]
    assert failed[-1].reason.startswith("SourceUnavailable: ")


def test_a_run_that_was_killed_is_marked_as_failed_by_the_next_one(desk):
    with started(desk, MANY) as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    [killed] = runs(desk)
    assert statuses(killed) == [RUNNING]
    desk.ingest()
    killed, second = runs(desk)
    assert statuses(killed) == [RUNNING, FAILED]
    assert "was killed" in killed[-1].reason
    assert statuses(second) == [RUNNING, COMPLETED]
    # What was written and not yet told when it died has no event; nothing is told twice.
    told = ids(killed) + ids(second)
    assert len(told) == len(set(told))
    assert len(desk.audit()) == MANY
    assert MANY - 256 <= len(told) <= MANY


def test_a_run_does_not_begin_without_its_history_and_shows_no_password(desk):
    desk.write("a.md", "# A\n\nWords.")
    url = "postgresql://me:s3cret@127.0.0.1:1/events"
    report = desk.ingest(code=1, PIPELINES_DATABASE_URL=url)
    assert report["error"]["type"] == "DatabaseUnavailable"
    assert "s3cret" not in str(report)
    assert desk.embedded() == []
    assert desk.ingest()["documents"]["added"] == 1


def test_a_run_goes_on_when_the_event_store_is_lost_on_the_way(desk, postgres, postgres_url):
    server = sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = sa.make_url(postgres_url).database
    stop = [
        f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    ]
    with started(desk, MANY, PIPELINES_DATABASE_URL=postgres_url) as process:
        with server.connect() as connection:
            for command in stop:
                connection.exec_driver_sql(command)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert len(desk.audit()) == MANY
    assert errors.count("goes on, but from here to its end it is not recorded") == 1
    assert "Traceback" not in errors
    with server.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    desk.ingest(PIPELINES_DATABASE_URL=postgres_url)
    broken_off, second = runs(desk, postgres_url)
    assert statuses(broken_off) == [RUNNING, COMPLETED]
    assert "recorded by the next run" in broken_off[-1].reason
    assert statuses(second) == [RUNNING, COMPLETED]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@host:port/name",
        "postgresql://me:1@s3cret@127.0.0.1/x",
        "oracle://me:s3cret@h/x",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_being_shown(desk, url):
    desk.write("a.md", "# A\n\nWords.")
    report = desk.ingest(code=2, PIPELINES_DATABASE_URL=url)
    assert report["error"]["type"] == "ConfigurationError"
    assert "s3cret" not in str(report)
