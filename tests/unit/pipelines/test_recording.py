"""Ingestion runs as pipelines: what is written, and what happens when it cannot be."""

import json
import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.errors import (
    ConcurrencyConflict,
    DatabaseUnavailable,
    EmbeddingError,
    RunCancelled,
    StorageError,
)
from pipelines_persistence.events import NewEvent
from pipelines_persistence.ingestion.report import Change, Report
from pipelines_persistence.ingestion.runs import SILENT, recorded
from pipelines_persistence.pipelines import (
    IngestBatch,
    IngestBatchFailed,
    PipelineCreated,
    PipelineRecorder,
    PipelineStatus,
    PipelineStatusChanged,
    registry,
)
from pipelines_persistence.pipelines.recording import pipeline_id
from pipelines_persistence.records import DocumentRecord, Outcome, RunRecord, RunState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN = RunRecord(7, "handbook", RunState.RUNNING, NOON, None, "")
STREAM = "pipeline-handbook-20260101T120000.000000Z-7"
CREATED, RUNNING, COMPLETED, FAILED, CANCELLED = (
    PipelineStatus.CREATED,
    PipelineStatus.RUNNING,
    PipelineStatus.COMPLETED,
    PipelineStatus.FAILED,
    PipelineStatus.CANCELLED,
)


class Flaky(MemoryEventStore):
    """An event store that can be down, or lose acknowledgements."""

    def __init__(self):
        super().__init__()
        self.is_down = self.loses_acknowledgements = False
        self.attempts = 0

    def append(self, *arguments):
        self.attempts += 1
        if self.is_down:
            raise DatabaseUnavailable("the database does not answer")
        appended = super().append(*arguments)
        if self.loses_acknowledgements:
            raise DatabaseUnavailable("the connection broke")
        return appended

    def version(self, stream):
        if self.is_down:
            raise DatabaseUnavailable("the database does not answer")
        return super().version(stream)


@pytest.fixture
def store():
    return Flaky()


@pytest.fixture
def recorder(store):
    return PipelineRecorder(lambda: store)


def document(path, source="docs", chunks=1, detail=""):
    outcome = Outcome.FAILED if detail else Outcome.INDEXED
    return DocumentRecord(source, path, outcome, chunks=chunks, detail=detail)


def told(store, stream=STREAM):
    return [registry.decode(event) for event in store.read(stream)]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_run_is_a_stream_from_its_beginning_to_its_end(store, recorder):
    run = recorder.started(RUN)
    run.batch([document("a.md", chunks=3), document("b.md", chunks=2)], [3, 0])
    run.finished(RunState.DONE, "2 documents were withheld", {"added": 2, "seconds": 0.5})
    assert told(store) == [
        PipelineCreated("handbook", {"index": "handbook", "kind": "ingest"}),
        PipelineStatusChanged(RUNNING, CREATED),
        IngestBatch("docs", ("docs/a.md", "docs/b.md"), documents=2, chunks=5, embedded=3, reused=2),
        PipelineStatusChanged(COMPLETED, RUNNING, "2 documents were withheld", {"added": 2, "seconds": 0.5}),
    ]
    assert {event.correlation_id for event in store.read(STREAM)} == {STREAM.removeprefix("pipeline-")}
    assert {event.actor for event in store.read(STREAM)} == {"ingestion"}


def test_a_batch_of_several_sources_is_one_event_for_each_in_one_append(store, recorder):
    run = recorder.started(RUN)
    before = store.attempts
    run.batch([document("a.md"), document("b.md", "wiki"), document("c.md")], [1, 1, 0])
    assert store.attempts == before + 1
    assert told(store)[2:] == [
        IngestBatch("docs", ("docs/a.md", "docs/c.md"), 2, 2, 1, 1),
        IngestBatch("wiki", ("wiki/b.md",), 1, 1, 1, 0),
    ]


def test_failures_are_one_event_for_each_source_and_reason(store, recorder):
    run = recorder.started(RUN)
    malformed = "malformed: the parser failed with: PdfError"
    run.failed(
        [
            document("a.pdf", detail=malformed),
            document("b.pdf", detail="encrypted"),
            document("c.pdf", detail=malformed),
        ]
    )
    assert told(store)[2:] == [
        IngestBatchFailed(
            "docs", ("docs/a.pdf", "docs/c.pdf"), "malformed", "the parser failed with: PdfError"
        ),
        IngestBatchFailed("docs", ("docs/b.pdf",), "encrypted", ""),
    ]


def test_the_id_of_a_run_is_the_same_from_every_time_zone():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=9)))
    assert pipeline_id(RunRecord(7, "handbook", RunState.DONE, elsewhere, None, "")) == pipeline_id(RUN)


def test_a_run_does_not_begin_without_its_history(store, recorder):
    store.is_down = True
    with pytest.raises(DatabaseUnavailable):
        recorder.started(RUN)
    with pytest.raises(DatabaseUnavailable):
        recorder.settle(RUN)


def test_a_run_goes_on_when_its_history_breaks_off_and_says_so_once(store, recorder, caplog):
    run = recorder.started(RUN)
    run.batch([document("a.md")], [1])
    store.is_down = True
    for number in range(5):
        run.batch([document(f"{number}.md")], [1])
    run.failed([document("x.pdf", detail="encrypted")])
    assert len(warnings(caplog)) == 1
    assert "the run 'handbook-20260101T120000.000000Z-7' goes on" in warnings(caplog)[0]
    assert store.attempts == 3  # a database that does not answer is not asked before the end
    store.is_down = False
    run.finished(RunState.DONE, "", {"added": 6})
    [_, _, batch, end] = told(store)
    assert batch.ids == ("docs/a.md",)
    assert (end.status, end.numbers) == (COMPLETED, {"added": 6})
    assert end.reason == "up to 6 records are missing here: the event store could not take them"


def test_a_run_ends_although_its_end_cannot_be_recorded(store, recorder, caplog):
    run = recorder.started(RUN)
    store.is_down = True
    run.finished(RunState.DONE, "", {})
    [warning] = warnings(caplog)
    assert "the end of the run" in warning
    store.is_down = False
    recorder.settle(RunRecord(7, "handbook", RunState.DONE, NOON, NOON, "{}"))
    *_, end = told(store)
    assert (end.status, end.reason[:24]) == (COMPLETED, "recorded by the next run")


def test_a_batch_whose_acknowledgement_was_lost_stands_once_and_the_run_ends_after_it(store, recorder):
    run = recorder.started(RUN)
    store.loses_acknowledgements = True
    run.batch([document("a.md")], [1])
    store.loses_acknowledgements = False
    run.finished(RunState.DONE, "", {})
    _, _, batch, end = told(store)
    assert batch.ids == ("docs/a.md",)
    assert end.status is COMPLETED


def test_whatever_goes_wrong_in_recording_the_run_goes_on(store, recorder, caplog):
    run = recorder.started(RUN)
    run.batch([document("a.md"), document("a.md")], [1, 1])  # no run writes a document twice
    assert "goes on" in warnings(caplog)[0]
    run.finished(RunState.FAILED, "EmbeddingError: no model", {})
    assert told(store)[-1].reason.startswith("EmbeddingError: no model; up to 1 records are missing")


# The run before


def test_a_run_that_was_killed_is_marked_as_failed_once(store, recorder):
    recorder.started(RUN).batch([document("a.md")], [1])
    for _ in range(2):
        recorder.settle(RUN)
    *_, batch, end = told(store)
    assert isinstance(batch, IngestBatch)
    assert (end.status, end.previous) == (FAILED, RUNNING)
    assert "was killed" in end.reason
    assert store.version(STREAM) == 4


@pytest.mark.parametrize(
    ("state", "status"),
    [(RunState.DONE, COMPLETED), (RunState.FAILED, FAILED), (RunState.CANCELLED, CANCELLED)],
)
def test_a_run_whose_end_was_not_recorded_gets_that_of_the_ledger(store, recorder, state, status):
    recorder.started(RUN)
    recorder.settle(RunRecord(7, "handbook", state, NOON, NOON, "{}"))
    assert told(store)[-1].status is status


def test_a_run_that_has_its_end_or_no_history_is_left_alone(store, recorder, caplog):
    recorder.settle(RUN)
    assert store.version(STREAM) == 0
    recorder.started(RUN).finished(RunState.DONE, "", {})
    recorder.settle(RUN)
    assert store.version(STREAM) == 3
    assert warnings(caplog) == []


@pytest.mark.parametrize("close", ["archive", "tombstone"])
def test_a_stream_that_takes_no_event_does_not_keep_the_next_run_from_beginning(
    store, recorder, close, caplog
):
    recorder.started(RUN)
    getattr(store, close)(STREAM)
    recorder.settle(RUN)
    assert "is not recorded" in warnings(caplog)[0]


def test_an_event_of_a_newer_process_does_not_keep_the_next_run_from_beginning(store, recorder, caplog):
    recorder.started(RUN)
    store.append(STREAM, [NewEvent("PipelineStatusChanged", schema_version=99)], 2)
    recorder.settle(RUN)
    assert "upgrade this process" in warnings(caplog)[0]


def test_a_run_that_exists_already_does_not_begin(recorder):
    recorder.started(RUN)
    with pytest.raises(ConcurrencyConflict):
        recorder.started(RUN)


# From its beginning to its end


class Runs:
    """The ledger's runs."""

    def __init__(self):
        self.kept = []

    def start_run(self, index):
        self.kept.append(RunRecord(len(self.kept) + 1, index, RunState.RUNNING, NOON, None, ""))
        return len(self.kept)

    def finish_run(self, run_id, state, report):
        started = self.kept[run_id - 1]
        self.kept[run_id - 1] = RunRecord(run_id, started.index, state, NOON, NOON, report)

    def runs(self, index, limit):
        assert index == "handbook"
        return self.kept[::-1][:limit]


def report():
    made = Report("handbook", "handbook-g1", notice="a notice")
    made.documents[Change.ADDED] = 3
    return made


@pytest.mark.parametrize(
    ("error", "state", "status", "reason"),
    [
        (None, RunState.DONE, COMPLETED, "a notice"),
        (RunCancelled("stopped by SIGINT"), RunState.CANCELLED, CANCELLED, "stopped by SIGINT"),
        (EmbeddingError("no model"), RunState.FAILED, FAILED, "EmbeddingError: no model"),
        (ValueError("text of a document"), RunState.FAILED, FAILED, "ValueError"),
        (KeyboardInterrupt(), RunState.CANCELLED, CANCELLED, ""),
    ],
)
def test_a_run_ends_in_the_ledger_and_in_its_stream_alike(store, error, state, status, reason):
    ledger, recorder = Runs(), PipelineRecorder(lambda: store)

    def work():
        with recorded(ledger, recorder, report()) as recording:
            recording.batch([document("a.md")], [1])
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            work()
    else:
        work()
    [run] = ledger.kept
    end = told(store, f"pipeline-{pipeline_id(run)}")[-1]
    assert (run.state, end.status, end.reason) == (state, status, reason)
    assert json.loads(run.report)["documents"]["added"] == end.numbers["added"] == 3


def test_the_run_before_is_settled_before_the_next_begins(store, recorder):
    ledger = Runs()
    ledger.start_run("handbook")
    dead = recorder.started(ledger.kept[0])
    with recorded(ledger, recorder, report()):
        assert told(store, f"pipeline-{pipeline_id(ledger.kept[0])}")[-1].status is FAILED
    dead.batch([document("a.md")], [1])  # should it live after all: it lost its stream, and goes on without
    assert store.version(f"pipeline-{pipeline_id(ledger.kept[0])}") == 3


def test_without_a_history_nothing_is_begun(store, recorder):
    ledger, is_entered = Runs(), False
    store.is_down = True
    with pytest.raises(DatabaseUnavailable), recorded(ledger, recorder, report()):
        is_entered = True
    assert not is_entered
    assert [run.state for run in ledger.kept] == [RunState.FAILED]


def test_a_history_is_not_kept_where_nobody_asks_for_one():
    ledger = Runs()
    with recorded(ledger, SILENT, report()) as recording:
        recording.batch([document("a.md")], [1])
        recording.failed([document("b.md", detail="malformed")])
    assert ledger.kept[0].state is RunState.DONE


def test_a_store_that_is_broken_for_good_stops_a_run_before_it_begins(caplog):
    def broken():
        raise StorageError("the disk is full")

    recorder = PipelineRecorder(broken)
    recorder.settle(RUN)
    with pytest.raises(StorageError):
        recorder.started(RUN)
    assert len(warnings(caplog)) == 1
