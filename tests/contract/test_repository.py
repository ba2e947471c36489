"""One suite for aggregates over an event store and a snapshot store: memory, SQLite, PostgreSQL."""

import logging
import tracemalloc
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_snapshots import MemorySnapshotStore
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.snapshots import SqlSnapshotStore
from pipelines_persistence.errors import (
    AggregateNotFound,
    CommandRefused,
    ConcurrencyConflict,
    DatabaseUnavailable,
    EventRefused,
    EventTooNew,
    StorageError,
    StreamClosed,
)
from pipelines_persistence.events import (
    NEVER,
    Aggregate,
    AggregateRepository,
    Clock,
    EventRegistry,
    EventStore,
    Expected,
    NewEvent,
    SnapshotCounts,
    SnapshotPolicy,
    SnapshotStore,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

registry = EventRegistry()


@registry.event("Said")
class Said(msgspec.Struct, frozen=True):
    word: str


class Talk(msgspec.Struct, frozen=True):
    """Depends on every event and on their order; does not grow."""

    words: int = 0
    digest: int = 0


class Speaker(Aggregate[Talk]):
    category = "speaker"

    @staticmethod
    def initial():
        return Talk()

    @staticmethod
    def evolve(state, event):
        return Talk(state.words + 1, (state.digest * 31 + sum(event.word.encode())) % 1_000_003)

    def say(self, *words, **metadata):
        for word in words:
            self.record(Said(word), **metadata)
        return self


class Time:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@dataclass
class Desk:
    """Both stores, and a clock for the age of snapshots."""

    store: EventStore
    snapshots: SnapshotStore
    clock: Time = field(default_factory=Time)

    def repository(self, policy=NEVER, kind=Speaker, **other):
        given = {"store": self.store, "snapshots": self.snapshots} | other
        return AggregateRepository(**given, kind=kind, registry=registry, policy=policy, clock=self.clock)

    def taken(self, stream="speaker-1", **bounds):
        found = self.snapshots.latest(stream, "Speaker", 1, **bounds)
        return found.version if found else None


def opened(name, request):
    if name == "memory":
        return Desk(MemoryEventStore(), MemorySnapshotStore())
    engine = open_database(request.getfixturevalue(f"{name}_url"))
    return Desk(SqlEventStore(engine), SqlSnapshotStore(engine))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def desk(request):
    desk = opened(request.param, request)
    yield desk
    desk.store.close()


def shown(aggregate):
    return aggregate.version, aggregate.state


def replayed(desk, id_="1", **bounds):
    return shown(desk.repository(snapshots=None).load(id_, **bounds))


EVERY = SnapshotPolicy(every=1)


# Load and save


def test_what_was_saved_is_loaded_with_its_metadata_in_the_stream(desk):
    repository = desk.repository()
    speaker = Speaker("1").say("a", "b", occurred_at=NOON)
    ids = [one.id for one in speaker.uncommitted]
    appended = repository.save(speaker, correlation_id="run 7", causation_id=ids[0], actor="me")
    assert (appended.stream, appended.version) == ("speaker-1", 2)
    assert (speaker.version, speaker.committed_version, speaker.uncommitted) == (2, 2, ())
    assert shown(repository.load("1")) == shown(speaker)
    first, _ = desk.store.read("speaker-1")
    assert (first.id, first.occurred_at, first.correlation_id, first.causation_id, first.actor) == (
        ids[0],
        NOON,
        "run 7",
        ids[0],
        "me",
    )


def test_saving_nothing_writes_nothing(desk):
    assert desk.repository().save(Speaker("1")) is None
    assert desk.store.version("speaker-1") == 0


def test_an_aggregate_that_is_not_there_is_not_found(desk):
    with pytest.raises(AggregateNotFound, match="'speaker-1' has no event: check the id '1'") as caught:
        desk.repository().load("1")
    assert caught.value.stream == "speaker-1"


@pytest.mark.parametrize("policy", [NEVER, EVERY])
def test_of_two_who_change_the_same_one_conflicts_and_can_try_again(desk, policy):
    repository = desk.repository(policy)
    repository.save(Speaker("1").say("a"))
    mine, theirs = repository.load("1"), repository.load("1")
    repository.save(theirs.say("b"))
    with pytest.raises(ConcurrencyConflict) as conflict:
        repository.save(mine.say("c"))
    assert (conflict.value.expected, conflict.value.actual) == (1, 2)
    repository.save(repository.load("1").say("c"))
    assert repository.load("1").version == 3
    with pytest.raises(ConcurrencyConflict):
        repository.save(Speaker("1").say("new under a name that is taken"))


class LosesAcknowledgements:
    """Appends, and then breaks the connection."""

    def __init__(self, store):
        self._store = store
        self.is_well = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def append(self, *arguments):
        appended = self._store.append(*arguments)
        if not self.is_well:
            raise DatabaseUnavailable("the connection broke")
        return appended


def test_saving_again_after_a_lost_acknowledgement_writes_nothing_twice(desk):
    store = LosesAcknowledgements(desk.store)
    repository = desk.repository(store=store)
    speaker = Speaker("1").say("a", "b")
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            repository.save(speaker)
    assert len(speaker.uncommitted) == 2
    store.is_well = True
    assert repository.save(speaker).version == 2
    assert desk.store.version("speaker-1") == 2
    repository.save(speaker.say("c"))
    assert shown(desk.repository().load("1")) == shown(speaker)


def test_events_of_unknown_types_move_the_version_and_not_the_state(desk):
    desk.repository().save(Speaker("1").say("a"))
    desk.store.append("speaker-1", [NewEvent("Foreign")], 1)
    speaker = desk.repository().load("1")
    assert (speaker.version, speaker.state.words) == (2, 1)
    desk.repository().save(speaker.say("b"))
    assert desk.store.version("speaker-1") == 3


@pytest.mark.parametrize(
    ("event", "error"),
    [(NewEvent("Said", b'{"word": 7}'), EventRefused), (NewEvent("Said", schema_version=2), EventTooNew)],
)
def test_an_event_that_cannot_be_decoded_is_an_error_and_never_left_out(desk, event, error):
    desk.store.append("speaker-1", [event], 0)
    with pytest.raises(error):
        desk.repository().load("1")


# As of


@pytest.mark.parametrize("policy", [NEVER, EVERY, SnapshotPolicy(every=2)])
def test_an_aggregate_is_loaded_as_it_was_at_a_version_a_place_or_a_moment(desk, policy):
    repository = desk.repository(policy)
    past = []
    for word in "abcdef":
        speaker = Speaker("1") if not past else repository.load("1")
        repository.save(speaker.say(word))
        past.append(shown(speaker))
    if policy is not NEVER:
        assert desk.taken(max_version=4) == 4
    for version, event in enumerate(list(desk.store.read("speaker-1")), 1):
        assert shown(repository.load("1", version=version)) == past[version - 1]
        assert shown(repository.load("1", as_of=event.cursor)) == past[version - 1]
        later = [one for one in desk.store.read("speaker-1") if one.recorded_at <= event.recorded_at]
        assert shown(repository.load("1", as_of=event.recorded_at)) == past[len(later) - 1]
        assert shown(repository.load("1", version=version, as_of=desk.store.head())) == past[version - 1]
    assert shown(repository.load("1", version=99)) == past[-1]
    assert desk.taken() == (None if policy is NEVER else 6)


def test_before_its_first_event_an_aggregate_is_not_found(desk):
    start = desk.store.append("other-1", [NewEvent("A")], Expected.ANY).cursor
    desk.repository(EVERY).save(Speaker("1").say("a"))
    for bounds in ({"version": 0}, {"as_of": start}, {"as_of": NOON - 9999 * HOUR}):
        with pytest.raises(AggregateNotFound, match="at that version or moment"):
            desk.repository().load("1", **bounds)


def test_a_naive_moment_is_refused(desk):
    with pytest.raises(EventRefused, match="naive"):
        desk.repository().load("1", as_of=datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose


def test_as_it_had_occurred_by_a_moment_no_snapshot_is_used_for_it_is_no_prefix(desk):
    repository = desk.repository(EVERY)
    speaker = Speaker("1").say("a", occurred_at=NOON)
    speaker.say("b", occurred_at=NOON + 2 * HOUR).say("late", occurred_at=NOON + HOUR)
    repository.save(speaker)
    assert desk.taken() == 3
    as_of = NOON + HOUR
    then = repository.load("1", as_of=as_of, clock=Clock.OCCURRED)
    assert then.state == Speaker("1").say("a", "late").state
    assert then.version == 3
    with pytest.raises(CommandRefused, match="load it as it is"):
        then.say("on a past that never was")


def test_a_past_is_no_ground_for_a_decision(desk):
    repository = desk.repository(EVERY)
    repository.save(Speaker("1").say("a", "b"))
    with pytest.raises(ConcurrencyConflict):
        repository.save(repository.load("1", version=1).say("c"))


# Snapshots


def test_a_snapshot_is_taken_every_so_many_events(desk):
    repository = desk.repository(SnapshotPolicy(every=3))
    speaker, taken = Speaker("1"), []
    for word in "abcdefgh":
        repository.save(speaker.say(word))
        taken.append(desk.taken())
    assert taken == [None, None, 3, 3, 3, 6, 6, 6]
    loaded = repository.load("1")
    repository.save(loaded.say("i"))
    assert desk.taken() == 9


def test_a_snapshot_is_taken_by_age_with_the_next_event(desk):
    repository = desk.repository(SnapshotPolicy(every=None, age=HOUR))
    repository.save(Speaker("1").say("a"))
    desk.clock.now = datetime.now(UTC) + 2 * HOUR
    repository.save(repository.load("1").say("b"))
    assert desk.taken() == 2
    desk.clock.now += HOUR / 2
    repository.save(repository.load("1").say("c"))
    assert desk.taken() == 2
    desk.clock.now += HOUR / 2
    repository.save(repository.load("1").say("d"))
    assert desk.taken() == 4


def test_a_load_reads_only_what_came_after_the_snapshot(desk):
    repository = desk.repository(SnapshotPolicy(every=10))
    repository.save(Speaker("1").say(*"abcdefghij"))
    repository.save(repository.load("1").say("k"))
    decoded = []

    class Watched(Speaker):
        @staticmethod
        def evolve(state, event):
            decoded.append(event.word)
            return Speaker.evolve(state, event)

    Watched.__name__ = "Speaker"
    speaker = desk.repository(kind=Watched).load("1")
    assert decoded == ["k"]
    assert shown(speaker) == replayed(desk)


def test_a_snapshot_of_another_schema_version_or_type_is_not_used(desk):
    desk.repository(EVERY).save(Speaker("1").say("a", "b"))

    class Counter(msgspec.Struct, frozen=True):
        words: int = 0

    class Changed(Aggregate[Any]):
        category = "speaker"
        state_version = 2

        @staticmethod
        def initial():
            return Counter()

        @staticmethod
        def evolve(state, event):  # noqa: ARG004 - the base class's signature
            return Counter(state.words + 10)

    assert desk.repository(kind=Changed).load("1").state == Counter(20)
    Changed.__name__ = "Speaker"
    assert desk.repository(kind=Changed).load("1").state == Counter(20)


def broken(desk, **changes):
    [*_, last] = [desk.snapshots.latest("speaker-1", "Speaker", 1)]
    desk.snapshots.save(msgspec.structs.replace(last, **changes))


@pytest.mark.parametrize("state", [b'{"words": "many"}', b'{"words"', b"\xff"])
def test_a_snapshot_that_cannot_be_read_is_logged_and_replaced_by_a_replay(desk, state, caplog):
    desk.repository(EVERY).save(Speaker("1").say("a", "b"))
    broken(desk, state=state)
    assert shown(desk.repository().load("1")) == replayed(desk)
    assert "is no Speaker" in caplog.text


class Down:
    """A snapshot store that fails."""

    def __getattr__(self, name):
        def fail(*_arguments, **_named):
            raise RuntimeError(f"{name} does not work today")

        return fail


def test_a_snapshot_store_that_fails_is_logged_and_never_an_error(desk, caplog):
    repository = desk.repository(EVERY, snapshots=Down())
    speaker = Speaker("1").say("a")
    assert repository.save(speaker).version == 1
    assert shown(repository.load("1")) == shown(speaker)
    assert "save does not work today" in caplog.text
    assert "latest does not work today" in caplog.text


def test_a_snapshot_that_is_not_of_this_log_is_not_used(desk):
    """A backup was restored: the log has another event at that version, or none yet."""
    desk.repository(EVERY).save(Speaker("1").say("a", "b"))
    for changes in ({"version": 9}, {"cursor": desk.store.append("x-1", [NewEvent("A")], 0).cursor}):
        broken(desk, state=msgspec.json.encode(Talk(99, 99)), **changes)
        assert shown(desk.repository().load("1")) == replayed(desk)
        assert desk.taken() is None
        desk.repository(EVERY).save(desk.repository().load("1").say("c"))


@pytest.mark.parametrize("later", [0, 3])
def test_a_tombstoned_stream_does_not_rise_from_its_snapshots(desk, later):
    repository = desk.repository(SnapshotPolicy(every=2))
    repository.save(Speaker("1").say("a", "b"))
    place = desk.store.head()
    if later:
        desk.repository(NEVER).save(repository.load("1").say(*"c" * later))
    kept = desk.snapshots.latest("speaker-1", "Speaker", 1)
    moment = kept.recorded_at
    desk.store.tombstone("speaker-1")
    for bounds in ({}, {"version": 2}, {"as_of": place}, {"as_of": moment}):
        desk.snapshots.save(kept)  # of a process that took it while the other buried the stream
        with pytest.raises(AggregateNotFound):
            repository.load("1", **bounds)
        assert desk.taken() is None
    with pytest.raises(AggregateNotFound, match="was tombstoned"):
        repository.load("1")
    with pytest.raises((StreamClosed, ConcurrencyConflict)):
        repository.save(Speaker("1").say("a"))


def test_an_archived_stream_is_loaded_and_takes_nothing(desk):
    repository = desk.repository(EVERY)
    repository.save(Speaker("1").say("a"))
    desk.store.archive("speaker-1")
    speaker = repository.load("1")
    assert speaker.state.words == 1
    with pytest.raises(StreamClosed, match="archived"):
        repository.save(speaker.say("b"))


# All streams at once


def test_all_streams_are_brought_up_to_the_policy_and_the_second_time_there_is_nothing_to_do(desk):
    for number, length in enumerate([1, 5, 6, 12]):
        desk.repository().save(Speaker(str(number)).say(*"x" * length))
    desk.store.append("other-1", [NewEvent("A")], Expected.ANY)
    desk.repository().save(Speaker("gone").say(*"x" * 9))
    desk.store.tombstone("speaker-gone")
    repository = desk.repository(SnapshotPolicy(every=5))
    assert repository.take_snapshots() == SnapshotCounts(streams=4, taken=3, skipped=1)
    assert [desk.taken(f"speaker-{number}") for number in range(4)] == [None, 5, 6, 12]
    assert repository.take_snapshots() == SnapshotCounts(streams=4, skipped=4)
    desk.repository().save(desk.repository().load("1").say(*"y" * 5))
    assert repository.take_snapshots() == SnapshotCounts(streams=4, taken=1, skipped=3)
    assert shown(repository.load("1")) == replayed(desk)


def test_streams_are_brought_up_by_age_as_well(desk):
    desk.repository().save(Speaker("1").say("a"))
    repository = desk.repository(SnapshotPolicy(every=None, age=HOUR))
    desk.clock.now = datetime.now(UTC) + HOUR / 2
    assert repository.take_snapshots().taken == 0
    desk.clock.now += HOUR
    assert repository.take_snapshots().taken == 1
    desk.clock.now += 9 * HOUR
    assert repository.take_snapshots().taken == 0  # nothing has come since


def test_a_stream_that_cannot_be_read_is_counted_and_the_others_go_on(desk, caplog):
    desk.store.append("speaker-bad", [NewEvent("Said", b"{}")], 0)
    desk.repository().save(Speaker("1").say("a"))
    assert desk.repository(EVERY).take_snapshots() == SnapshotCounts(streams=2, taken=1, failed=1)
    assert "speaker-bad" in caplog.text


class Full(Down):
    def latest(self, *_arguments, **_named):
        return None

    def save(self, _snapshot):
        raise StorageError("the disk is full")


def test_a_snapshot_that_cannot_be_written_is_counted(desk):
    desk.repository().save(Speaker("1").say("a"))
    counts = desk.repository(EVERY, snapshots=Full()).take_snapshots()
    assert counts == SnapshotCounts(streams=1, failed=1)


def test_snapshots_of_tombstoned_streams_are_removed_on_the_way(desk):
    desk.repository(EVERY).save(Speaker("1").say("a"))
    kept = desk.snapshots.latest("speaker-1", "Speaker", 1)
    desk.store.tombstone("speaker-1")
    desk.snapshots.save(kept)
    assert desk.repository(EVERY).take_snapshots() == SnapshotCounts()
    assert desk.taken() is None


def test_streams_are_walked_in_bounded_memory(sqlite_url):
    engine = open_database(sqlite_url)
    store = SqlEventStore(engine)
    word = msgspec.json.encode(Said("x" * 2000))
    store.import_events((f"speaker-{number % 3}", NewEvent("Said", word)) for number in range(12_000))
    repository = AggregateRepository(store, SqlSnapshotStore(engine), Speaker, registry=registry)
    tracemalloc.start()
    assert repository.take_snapshots() == SnapshotCounts(streams=3, taken=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    store.close()
    assert peak < 12_000 * 2000 / 2  # two pages of a thousand, where the log holds twelve


# The law

words = st.lists(st.sampled_from(["a", "b", "Foreign"]), min_size=1, max_size=4)
policies = st.builds(
    SnapshotPolicy,
    every=st.none() | st.integers(1, 7),
    age=st.none() | st.integers(1, 5).map(lambda hours: hours * HOUR),
)


def check_law(desk, chunks, policy, is_fresh):
    """Save chunk by chunk, one hour apart, and compare each load with a full replay."""
    repository = desk.repository(policy)
    speaker = Speaker("1")
    for chunk in chunks:
        desk.clock.now += HOUR
        if is_fresh and speaker.version:
            speaker = repository.load("1")
        if "Foreign" in chunk and speaker.version:
            desk.store.append("speaker-1", [NewEvent("Foreign")], speaker.version)
            speaker = repository.load("1")
        repository.save(speaker.say(*chunk))
        if len(chunk) == 3:
            repository.take_snapshots()
        assert shown(repository.load("1")) == replayed(desk)
    for event in list(desk.store.read("speaker-1")):
        for bounds in ({"version": event.version}, {"as_of": event.cursor}, {"as_of": event.recorded_at}):
            assert shown(repository.load("1", **bounds)) == replayed(desk, **bounds), bounds


@given(st.lists(words, min_size=1, max_size=8), policies, st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_snapshot_and_the_events_after_it_equal_a_full_replay(chunks, policy, is_fresh):
    clock = Time()
    check_law(Desk(MemoryEventStore(clock), MemorySnapshotStore(), clock), chunks, policy, is_fresh)


@given(st.lists(words, min_size=1, max_size=4), policies, st.booleans())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_so_they_do_on_sqlite(tmp_path, sqlite_url, chunks, policy, is_fresh):
    path = tmp_path / f"{abs(hash((str(chunks), policy, is_fresh)))}.sqlite"
    path.write_bytes((tmp_path / "events.sqlite").read_bytes())
    assert sqlite_url.endswith("events.sqlite")
    engine = open_database(f"sqlite:///{path}")
    check_law(Desk(SqlEventStore(engine), SqlSnapshotStore(engine)), chunks, policy, is_fresh)
    engine.dispose()


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level(logging.INFO)
