"""The rules of a pipeline, and its state."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipelines_persistence.errors import CommandRefused, ConfigurationError
from pipelines_persistence.events import Aggregate, UnknownEvent
from pipelines_persistence.pipelines import (
    Episode,
    IngestBatch,
    IngestBatchFailed,
    PipelineAggregate,
    PipelineCreated,
    PipelineStatus,
    PipelineStatusChanged,
    PipelineTagged,
    PipelineUntagged,
    ReasoningKind,
    ReasoningStep,
    StepExecution,
    StepStatus,
    ToolExecution,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CREATED, RUNNING, COMPLETED, FAILED = (
    PipelineStatus.CREATED,
    PipelineStatus.RUNNING,
    PipelineStatus.COMPLETED,
    PipelineStatus.FAILED,
)


def pipeline(**tags):
    return PipelineAggregate.create("7", "handbook", tags)


def events(aggregate):
    return [one.event for one in aggregate.uncommitted]


def test_a_pipeline_is_created_with_a_name_and_tags_and_knows_its_stream():
    new = pipeline(kind="ingest")
    assert events(new) == [PipelineCreated("handbook", {"kind": "ingest"})]
    assert (new.id, new.stream, new.version, new.committed_version) == ("7", "pipeline-7", 1, 0)
    assert (new.state.name, new.state.status, new.state.tags) == ("handbook", CREATED, {"kind": "ingest"})


def test_a_status_is_changed_once_however_often_it_is_set():
    new = pipeline()
    for _ in range(3):
        new.update_status(RUNNING, "a worker is free")
    new.update_status(COMPLETED, numbers={"documents": 3})
    assert events(new)[1:] == [
        PipelineStatusChanged(RUNNING, CREATED, "a worker is free"),
        PipelineStatusChanged(COMPLETED, RUNNING, "", {"documents": 3}),
    ]
    assert new.version == 3


def test_what_has_ended_does_not_end_otherwise_and_may_begin_anew():
    new = pipeline()
    new.update_status(COMPLETED)
    with pytest.raises(CommandRefused, match="has ended as Completed: it cannot end as Failed"):
        new.update_status(FAILED)
    new.update_status(RUNNING)
    new.update_status(FAILED)
    assert new.state.status is FAILED


def test_tags_are_added_changed_and_taken_away_and_what_changes_nothing_is_no_event():
    new = pipeline(kind="ingest")
    new.tag({"kind": "ingest"})
    new.untag(["team"])
    assert len(events(new)) == 1
    new.tag({"kind": "chat", "team": "people"})
    new.untag(["team", "team", "none"])
    assert events(new)[1:] == [
        PipelineTagged({"kind": "chat", "team": "people"}),
        PipelineUntagged(("team",)),
    ]
    assert new.state.tags == {"kind": "chat"}


def test_tags_are_bounded():
    new = pipeline(**{f"t{number}": "x" for number in range(64)})
    new.tag({"t0": "y"})
    with pytest.raises(CommandRefused, match="at most 64 tags"):
        new.tag({"more": "x"})
    for tags in ({"": "x"}, {"a": " "}, {"a": "x" * 501}):
        with pytest.raises(CommandRefused, match="1 to 500"):
            new.tag(tags)


def test_a_batch_without_documents_is_refused_and_the_way_to_record_a_failure_is_named():
    new = pipeline()
    with pytest.raises(CommandRefused, match="fail_batch"):
        new.record_batch("docs", [])
    with pytest.raises(CommandRefused):
        new.fail_batch("docs", [], "malformed")
    with pytest.raises(CommandRefused, match="twice"):
        new.record_batch("docs", ["docs/a.md", "docs/a.md"])
    with pytest.raises(CommandRefused, match="count from 0"):
        new.record_batch("docs", ["docs/a.md"], chunks=-1)
    assert new.version == 1


def test_work_is_recorded_and_only_counted_in_the_state():
    new = pipeline()
    tool = ToolExecution("search", {"q": "leave"}, [], NOON)
    new.record_reasoning(ReasoningKind.DRAFT, "Ask two weeks ahead.", prompt="How?", tools=[tool, tool])
    new.record_reasoning("Doubt", "Is it so?", branch="other")
    new.record_batch("docs", ["docs/a.md", "docs/b.md"], chunks=5, embedded=3, reused=2)
    new.fail_batch("docs", ["docs/c.pdf"], "malformed", "no PDF")
    new.record_step("embed", StepStatus.RUNNING, started_at=NOON)
    new.record_step("embed", StepStatus.FAILED, started_at=NOON, finished_at=NOON, error="out of memory")
    new.record_episode("gridworld", success=True, steps=17, total_reward=-3.5, metadata={"seed": 1})
    assert events(new)[1:] == [
        ReasoningStep("Draft", "Ask two weeks ahead.", "main", "How?", (tool, tool)),
        ReasoningStep("Doubt", "Is it so?", "other"),
        IngestBatch("docs", ("docs/a.md", "docs/b.md"), 2, 5, 3, 2),
        IngestBatchFailed("docs", ("docs/c.pdf",), "malformed", "no PDF"),
        StepExecution("embed", StepStatus.RUNNING, NOON),
        StepExecution("embed", StepStatus.FAILED, NOON, NOON, "out of memory"),
        Episode("gridworld", True, 17, -3.5, metadata={"seed": 1}),  # noqa: FBT003 - as it is written
    ]
    state = new.state
    assert (state.reasoning_steps, state.tool_executions) == (2, 2)
    assert (state.batches, state.documents, state.chunks, state.embedded) == (1, 2, 5, 3)
    assert (state.failed_batches, state.failed_documents) == (1, 1)
    assert (state.steps, state.failed_steps, state.episodes, state.successes) == (1, 1, 1, 1)


def test_the_state_does_not_grow_with_the_stream():
    new = pipeline()
    sizes = set()
    for number in range(100, 400):
        new.record_batch("docs", [f"docs/{number}/{part}" for part in range(50)])
        new.record_reasoning("Thinking", "x" * 1000)
        new.record_step(f"step {number}", StepStatus.RUNNING, started_at=NOON)
        sizes.add(len(msgspec.json.encode(new.state)))
    assert max(sizes) - min(sizes) < 10


@pytest.mark.parametrize(
    "command",
    [
        lambda it: it.update_status(RUNNING),
        lambda it: it.tag({"a": "b"}),
        lambda it: it.untag(["a"]),
        lambda it: it.record_reasoning("Draft", ""),
        lambda it: it.record_batch("docs", ["a"]),
        lambda it: it.fail_batch("docs", ["a"], "malformed"),
        lambda it: it.record_step("a", StepStatus.RUNNING, started_at=NOON),
        lambda it: it.record_episode("a", success=True, steps=1),
    ],
)
def test_what_does_not_exist_does_nothing(command):
    with pytest.raises(CommandRefused, match="does not exist"):
        command(PipelineAggregate("7"))


@pytest.mark.parametrize(
    "command",
    [
        lambda: PipelineAggregate.create("", "a"),
        lambda: PipelineAggregate.create("7", " "),
        lambda: pipeline().record_reasoning("", "a"),
        lambda: pipeline().record_reasoning("Draft", "a", branch=""),
        lambda: pipeline().fail_batch("docs", ["a"], ""),
        lambda: pipeline().record_step("", StepStatus.RUNNING, started_at=NOON),
        lambda: pipeline().record_episode("", success=True, steps=1),
        lambda: pipeline().record_episode("a", success=True, steps=-1),
        lambda: pipeline().record_step(
            "a", StepStatus.FAILED, started_at=NOON, finished_at=NOON - timedelta(seconds=1)
        ),
    ],
)
def test_what_makes_no_sense_is_refused(command):
    with pytest.raises(CommandRefused):
        command()


def test_a_replay_of_what_was_recorded_gives_the_same_state():
    new = pipeline(kind="ingest")
    new.update_status(RUNNING)
    new.record_batch("docs", ["docs/a.md"], chunks=1)
    again = PipelineAggregate("7").replay(enumerate(events(new), 1))
    assert (again.state, again.version, again.uncommitted) == (new.state, new.version, ())


def test_an_event_of_an_unknown_type_counts_and_changes_nothing():
    new = PipelineAggregate("7").replay([(1, PipelineCreated("a")), (2, UnknownEvent("Foreign", 1, b"{}"))])
    assert (new.version, new.state.name) == (2, "a")


def test_each_recorded_event_has_an_id_and_a_moment_of_its_own():
    new = pipeline()
    new.record(PipelineTagged({"a": "b"}), occurred_at=NOON)
    first, second = new.uncommitted
    assert first.id != second.id
    assert second.occurred_at == NOON
    assert first.occurred_at.tzinfo is UTC


@pytest.mark.parametrize("category", ["", "pipe-line"])
def test_a_category_that_could_not_be_told_from_an_id_is_refused(category):
    with pytest.raises(ConfigurationError, match="category"):
        type("Wrong", (Aggregate,), {"category": category})
