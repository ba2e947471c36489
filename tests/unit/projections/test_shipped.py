"""The shipped projections on small logs that are easily worked out by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_read_models import MemoryReadModels
from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.pipelines import (
    IngestBatch,
    IngestBatchFailed,
    PipelineCreated,
    PipelineStatus,
    PipelineStatusChanged,
    PipelineTagged,
    PipelineUntagged,
    ReasoningStep,
    ToolExecution,
    registry,
)
from pipelines_persistence.projections import OnError, ProjectionRunner
from pipelines_persistence.projections.catalog import configured_projections
from pipelines_persistence.projections.ports import live_reader
from pipelines_persistence.projections.shipped import SHIPPED, LiveEntities
from pipelines_persistence.projections.shipped.pipeline_board import (
    BATCHES,
    REASONING_STEPS,
    ActivePipelines,
    PipelinesByTag,
)
from pipelines_persistence.repositories import named

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Log:
    """A log in memory, and what is projected from it."""

    def __init__(self):
        self.store = MemoryEventStore()
        self.models = MemoryReadModels()

    def add(self, stream, *happened, minute=0):
        for event in happened:
            at = NOON + timedelta(minutes=minute)
            if isinstance(event, str):
                event = NewEvent(event, occurred_at=at)  # noqa: PLW2901 - the short form of it
            elif not isinstance(event, NewEvent):
                event = registry.encode(event, occurred_at=at)  # noqa: PLW2901 - as above
            self.store.append(stream, [event], Expected.ANY)

    def rows(self, projection):
        projection = SHIPPED[projection]() if isinstance(projection, str) else projection
        report = ProjectionRunner(self.store, self.models).run(projection, on_error=OnError.STOP)
        assert report.rows == self.models.count(self.models.live(projection.name), projection.tables[0])
        return list(self.models.rows(self.models.live(projection.name), projection.tables[0]))


@pytest.fixture
def log():
    return Log()


def test_the_board_shows_status_tags_counts_and_last_activity(log):
    tool = ToolExecution("search", {"q": 1}, "found", NOON)
    log.add("pipeline-1", PipelineCreated("Nightly", {"team": "data"}))
    log.add("pipeline-1", PipelineStatusChanged(PipelineStatus.RUNNING), minute=1)
    log.add(
        "pipeline-1", PipelineTagged({"team": "search", "kind": "x=y"}), PipelineUntagged(("none",)), minute=2
    )
    log.add("pipeline-1", ReasoningStep("Draft", "text", tools=(tool, tool)), minute=3)
    log.add("pipeline-1", IngestBatch("docs", ("docs/a", "docs/b"), 2), minute=4)
    log.add("pipeline-1", IngestBatchFailed("docs", ("docs/c",), "malformed", "bad"), minute=5)
    log.add("pipeline-1", "SomethingForeign", minute=9)
    log.add("order-1", "Ordered", minute=10)
    [row] = log.rows("pipeline_board")
    assert (row.stream, row.name, row.status, row.tags) == (
        "pipeline-1",
        "Nightly",
        "Running",
        ["kind=x=y", "team=search"],
    )
    assert (row.events, row.batches, row.documents, row.failed_documents) == (8, 1, 2, 1)
    assert (row.reasoning_steps, row.tool_calls) == (1, 2)
    assert (row.created_at, row.last_activity) == (NOON, NOON + timedelta(minutes=9))
    assert row.last_event == "SomethingForeign"


def test_the_board_forgets_a_pipeline_that_was_tombstoned(log):
    log.add("pipeline-1", PipelineCreated("Nightly"))
    log.store.tombstone("pipeline-1")
    assert log.rows("pipeline_board") == []


def test_the_timeline_holds_each_step_in_its_place_with_the_tools_it_called(log):
    tool = ToolExecution("search", {}, None, NOON)
    log.add(
        "pipeline-1",
        ReasoningStep("Thinking", "hm"),
        "Other",
        ReasoningStep("Final", "42", "b", "why?", (tool,)),
    )
    first, second = log.rows("reasoning_timeline")
    assert (first.version, first.kind, first.branch, first.tools) == (1, "Thinking", "main", [])
    assert (second.version, second.state_text, second.prompt, second.tools) == (3, "42", "why?", ["search"])
    log.store.tombstone("pipeline-1")
    assert log.rows("reasoning_timeline") == []


def test_tool_usage_counts_calls_over_all_pipelines_the_most_used_first(log):
    early, late = NOON - timedelta(days=1), NOON
    calls = [
        ToolExecution(name, None, None, at) for name, at in [("read", late), ("write", late), ("read", early)]
    ]
    log.add("pipeline-1", ReasoningStep("Draft", "", tools=tuple(calls)))
    log.add("pipeline-2", ReasoningStep("Draft", "", tools=(calls[0],)))
    read, write = log.rows("tool_usage")
    assert (read.tool, read.calls, read.first_at, read.last_at, read.last_stream) == (
        "read",
        3,
        early,
        late,
        "pipeline-2",
    )
    assert (write.tool, write.calls) == ("write", 1)


def test_the_ingest_history_tells_batches_from_failures_the_newest_first(log):
    log.add("pipeline-1", IngestBatch("docs", ("docs/a",), 1, 7, 5, 2))
    log.add(
        "pipeline-1", IngestBatchFailed("docs", ("docs/b", "docs/c"), "encrypted", "a password"), minute=1
    )
    failed, written = log.rows("ingest_history")
    assert (written.outcome, written.documents, written.chunks, written.embedded, written.reused) == (
        "written",
        1,
        7,
        5,
        2,
    )
    assert (failed.outcome, failed.documents, failed.error_type, failed.ids) == (
        "failed",
        2,
        "encrypted",
        ["docs/b", "docs/c"],
    )


def test_a_stream_is_summed_up_by_its_own_times_and_not_by_their_order(log):
    log.add("a-1", "First", minute=5)
    log.add("a-1", "Second", minute=1)
    log.add("b", "Only")
    log.store.archive("b")
    a, b = log.rows("stream_summary")
    assert (a.category, a.events, a.version, a.first_type, a.last_type) == ("a", 2, 2, "First", "Second")
    assert (a.first_at, a.last_at) == (NOON + timedelta(minutes=1), NOON + timedelta(minutes=5))
    assert (a.is_archived, b.is_archived) == (False, True)
    log.store.tombstone("a-1")
    assert [row.stream for row in log.rows("stream_summary")] == ["b"]


def test_types_are_counted_the_most_frequent_first_and_the_stores_own_are_not(log):
    log.add("a", "Rare", "Often", "Often")
    log.store.archive("a")
    assert [(row.type, row.events) for row in log.rows("event_type_counts")] == [("Often", 2), ("Rare", 1)]


def test_a_type_follows_another_within_a_stream_only_with_count_mean_and_percentile_of_the_gap(log):
    log.add("x", "A", minute=0)
    log.add("y", "A", minute=100)
    log.add("x", "B", minute=2)
    log.add("y", "B", minute=104)
    log.add("x", "B", minute=1)
    pairs = {(row.from_type, row.to_type): row for row in log.rows("directly_follows")}
    assert set(pairs) == {("A", "B"), ("B", "B")}
    assert (pairs["A", "B"].count, pairs["A", "B"].mean_gap) == (2, 180)
    assert pairs["A", "B"].p95_gap == pytest.approx(120 + 0.95 * 120)
    assert (pairs["B", "B"].count, pairs["B", "B"].p95_gap) == (1, -60)


def rename(old):
    return NewEvent.of("FileRenamed", {"from": old}, occurred_at=NOON + timedelta(minutes=30))


def test_what_was_created_or_renamed_to_and_not_ended_is_alive(log):
    log.add("a", "FileAdded", "FileModified")
    log.add("b", "FileAdded")
    log.add("c", "FileAdded", "FileDeleted")
    log.add("b2", rename("b"), "FileModified", minute=40)
    log.add("ghost", "FileModified")
    rows = {row.entity: row for row in log.rows("live_entities")}
    assert set(rows) == {"a", "b2"}
    assert (rows["a"].since, rows["a"].last_event) == (NOON, "FileModified")
    assert (rows["b2"].since, rows["b2"].last_event) == (NOON + timedelta(minutes=30), "FileModified")


def test_what_comes_again_after_its_end_is_alive_since_then(log):
    log.add("a", "UserCreated", "UserRemoved")
    log.add("a", "UserCreated", minute=7)
    assert [(row.entity, row.since) for row in log.rows("live_entities")] == [
        ("a", NOON + timedelta(minutes=7))
    ]


def test_a_rename_in_place_ends_nothing(log):
    log.add(
        "a",
        "TeamCreated",
        NewEvent.of("TeamRenamed", {"name": "new"}),
        NewEvent.of("TeamRenamed", {"from": "a"}),
    )
    assert [(row.entity, row.since) for row in log.rows("live_entities")] == [("a", NOON)]


def test_which_types_begin_and_end_a_life_is_configuration(log):
    log.add("a", "Opened", "Closed")
    log.add("b", "Opened", "FileDeleted")
    rows = log.rows(LiveEntities(created=["Opened"], deleted=["Closed"]))
    assert [row.entity for row in rows] == ["b"]


def test_the_catalogue_holds_the_shipped_and_the_configured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours.py").write_text(
        "from pipelines_persistence.projections.shipped import StreamSummary\n"
        "class Ours(StreamSummary):\n    name = 'ours'\n"
    )
    config = EventsConfig.model_validate(
        {
            "projections": {
                "tool_usage": {"enabled": False},
                "live_entities": {"options": {"deleted": ["Closed"]}, "skip_failing": False},
                "ours": {"projection": "ours:Ours"},
            }
        }
    )
    found = configured_projections(config)
    assert set(found) == set(SHIPPED) - {"tool_usage"} | {"ours"}
    assert found["live_entities"].on_error is OnError.STOP
    assert found["live_entities"].projection.fingerprint != LiveEntities().fingerprint


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"unheard_of": {}}, "events.projections.unheard_of: none of that name is shipped"),
        (
            {"live_entities": {"options": {"colour": "red"}}},
            "events.projections.live_entities.options: .*colour",
        ),
        ({"mine": {"projection": "json:dumps"}}, "is no subclass of Projection"),
        ({"mine": {"projection": "nowhere:Thing"}}, "no module 'nowhere'"),
        (
            {"mine": {"projection": "pipelines_persistence.projections.shipped:LiveEntities"}},
            "its class is named 'live_entities'",
        ),
    ],
)
def test_a_projection_that_cannot_be_made_is_refused_with_its_place(entry, message):
    with pytest.raises(ConfigurationError, match=message):
        configured_projections(EventsConfig.model_validate({"projections": entry}))


def asked_of_the_board(log, text):
    board = SHIPPED["pipeline_board"]
    reader = live_reader(log.models, board(), board.tables[0])
    return sorted(row.name for row in reader.walk(named(board.specifications, text)))


def test_pipelines_are_found_by_specifications_with_names_of_their_own(log):
    for minute, (name, tags, status) in enumerate(
        [
            ("Waiting", {"team": "search"}, None),
            ("Running", {"team": "data"}, PipelineStatus.RUNNING),
            ("Done", {"team": "search", "kind": "a,b"}, PipelineStatus.COMPLETED),
            ("Broken", {}, PipelineStatus.FAILED),
        ]
    ):
        log.add(f"pipeline-{name}", PipelineCreated(name, tags), minute=minute)
        if status:
            log.add(f"pipeline-{name}", PipelineStatusChanged(status), minute=minute)
    log.add("pipeline-Done", IngestBatchFailed("docs", ("docs/c",), "malformed", "bad"), minute=9)
    log.rows("pipeline_board")
    assert asked_of_the_board(log, "active_pipelines") == ["Running", "Waiting"]
    assert asked_of_the_board(log, "failed_pipelines") == ["Broken", "Done"]
    assert asked_of_the_board(log, "pipelines_by_tag:team,search") == ["Done", "Waiting"]
    assert asked_of_the_board(log, "pipelines_by_tag:kind,a,b") == ["Done"]
    assert asked_of_the_board(log, "pipelines_updated_since:2026-01-01T13:02:00+01:00") == ["Broken", "Done"]
    both = ActivePipelines() & ~PipelinesByTag("team", "data")
    reader = live_reader(log.models, SHIPPED["pipeline_board"](), SHIPPED["pipeline_board"].tables[0])
    assert [row.name for row in reader.walk(both)] == ["Waiting"]
    assert [row.name for row in reader.walk() if both.holds(row)] == ["Waiting"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sleepy_pipelines", "no specification 'sleepy_pipelines': there are active_pipelines"),
        ("active_pipelines:now", "takes no argument"),
        ("pipelines_by_tag:team", "takes KEY,VALUE; got 1"),
        ("pipelines_updated_since:yesterday", "'yesterday' does not fit MOMENT"),
        ("pipelines_updated_since:2026-01-01T12:00:00", "has no zone"),
    ],
)
def test_a_specification_that_is_none_or_does_not_fit_says_what_would(log, text, message):
    log.rows("pipeline_board")
    with pytest.raises(ConfigurationError, match=message):
        asked_of_the_board(log, text)


def test_a_pipeline_comes_with_its_steps_and_batches(log):
    log.add(
        "pipeline-1",
        PipelineCreated("Nightly", {}),
        ReasoningStep("Draft", "one"),
        ReasoningStep("Draft", "two"),
    )
    log.add("pipeline-1", IngestBatch("docs", ("docs/a",), 1))
    log.add("pipeline-2", PipelineCreated("Other", {}))
    for name in ("pipeline_board", "reasoning_timeline"):
        log.rows(name)
    board = SHIPPED["pipeline_board"]
    reader = live_reader(log.models, board(), board.tables[0])
    with pytest.raises(ConfigurationError, match="ingest_history was never built"):
        reader.find(include=board.relations)
    log.rows("ingest_history")
    page = reader.find(order=["stream"], include=board.relations)
    assert [[step.state_text for step in page.related(REASONING_STEPS, row)] for row in page.items] == [
        ["one", "two"],
        [],
    ]
    assert [[batch.ids for batch in page.related(BATCHES, row)] for row in page.items] == [[["docs/a"]], []]
