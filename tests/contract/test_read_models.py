"""One suite for the `ReadModels` port under the runner: memory, SQLite, PostgreSQL."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec
import pytest
import sqlalchemy as sa

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_read_models import MemoryReadModels
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.event_transactions import guarded
from pipelines_persistence.adapters.sql.read_models import SqlReadModels
from pipelines_persistence.configuration import ResilienceConfig
from pipelines_persistence.errors import ConfigurationError, DatabaseUnavailable, ProjectionFailed
from pipelines_persistence.events import START, TOMBSTONED, Clock, Cursor, Expected, NewEvent, decode
from pipelines_persistence.projections import (
    BuildState,
    CheckpointMoved,
    FrameProjection,
    NotCaughtUp,
    OnError,
    Projection,
    ProjectionRunner,
    Step,
    Table,
    on,
)
from pipelines_persistence.projections.ports import live_reader
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.repositories import asked, everything
from pipelines_persistence.resilience import Guard

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SQL = ["sqlite", "postgres"]


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Account(msgspec.Struct):
    stream: str
    balance: int = 0
    history: list[int] = []
    mood: Mood = Mood.GOOD
    rate: float = 0.5
    is_open: bool = True
    changed_at: datetime | None = None
    price: Decimal | None = None
    note: str | None = None
    count: int | None = None
    is_odd: bool | None = None
    empty: str | None = None


class Accounts(Projection):
    name = "accounts"
    tables = (Table(Account, key=["stream"], order=["-balance"]),)
    by_stream = True

    @on("Paid")
    def paid(self, event, models):
        amount = decode(event.data)["amount"]
        if amount == 13:
            raise ValueError("an unlucky amount")
        row = models[Account].get(event.stream) or Account(event.stream)
        row.balance += amount
        row.history = [*row.history, amount]
        row.mood = Mood.BAD if row.balance < 0 else Mood.GOOD
        row.changed_at = event.occurred_at
        row.price = Decimal("0.10")
        row.note, row.count, row.is_odd = "seen", 3, False
        models[Account].put(row)

    @on("Closed")
    def closed(self, event, models):
        models[Account].delete(event.stream)


class Total(msgspec.Struct):
    name: str
    events: int


class Totals(FrameProjection):
    name = "totals"
    tables = (Table(Total, key=["name"]),)

    def project_frame(self, frame, models):
        for name, count in frame.groupby("type").size().items():
            row = models[Total].get(name) or Total(name, 0)
            row.events += int(count)
            models[Total].put(row)


@pytest.fixture(params=["memory", *SQL])
def world(request):
    """Return an event store and read models."""
    if request.param == "memory":
        store, models = MemoryEventStore(), MemoryReadModels()
    else:
        engine = open_database(request.getfixturevalue(f"{request.param}_url"))
        store, models = SqlEventStore(engine), SqlReadModels(engine)
    yield store, models
    store.close()


only_sql = pytest.mark.parametrize("world", SQL, indirect=True)


def pay(store, stream, *amounts, at=NOON):
    events = [NewEvent.of("Paid", {"amount": amount}, occurred_at=at) for amount in amounts]
    return store.append(stream, events, Expected.ANY)


def rows(models, projection, table=0):
    return list(models.rows(models.live(projection.name), projection.tables[table]))


def balances(models, projection=None):
    return {row.stream: row.balance for row in rows(models, projection or Accounts())}


def test_a_projection_works_events_in_and_then_only_new_ones(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1, 2)
    pay(store, "b", 5)
    first = runner.run(Accounts())
    pay(store, "a", 10)
    store.append("b", [NewEvent("Closed"), NewEvent("Ignored")], Expected.ANY)
    second = runner.run(Accounts())
    third = runner.run(Accounts())
    assert (first.events, second.events, third.events) == (3, 2, 0)
    assert balances(models) == {"a": 13}
    assert (third.events_total, third.lag, third.rows, third.dead_letters) == (5, 0, 1, 0)
    assert second.data_version == third.data_version != first.data_version


def test_rows_come_back_as_they_were_put_with_every_kind_of_column(world):
    store, models = world
    pay(store, "ä'\"%s", -7)
    ProjectionRunner(store, models).run(Accounts())
    [row] = rows(models, Accounts())
    assert row == Account(
        "ä'\"%s",
        -7,
        [-7],
        Mood.BAD,
        changed_at=NOON,
        price=Decimal("0.10"),
        note="seen",
        count=3,
        is_odd=False,
    )
    assert type(row.mood) is Mood
    assert row.is_odd is False
    assert row.changed_at.tzinfo is UTC


def test_a_batch_may_come_as_a_data_frame(world):
    store, models = world
    pay(store, "a", 1, 2)
    store.append("a", [NewEvent("Closed")], Expected.ANY)
    ProjectionRunner(store, models).run(Totals())
    assert {row.name: row.events for row in rows(models, Totals())} == {"Paid": 2, "Closed": 1}


def test_the_checkpoint_passes_over_what_is_not_for_the_projection(world):
    store, models = world
    pay(store, "a", 1)
    end = store.append("z", [NewEvent("Ignored")] * 1 + [NewEvent("Other")], Expected.ANY)
    ProjectionRunner(store, models).run(Accounts())
    assert models.checkpoint(models.live("accounts")).cursor == end.cursor == store.head()


def test_a_checkpoint_moves_only_from_where_it_is_said_to_stand_and_takes_its_work_along(world):
    store, models = world
    end = pay(store, "a", 1).cursor
    build = models.open(Accounts(), BuildState.BUILDING)
    table = Accounts.tables[0]
    put = lambda name: lambda unit: unit.upsert(table, [Account(name)])  # noqa: E731 - shorter so
    with pytest.raises(ZeroDivisionError):
        models.advance(Step(build, 0, START, end, 1), lambda unit: [put("lost")(unit), 1 / 0])
    assert (models.checkpoint(build).cursor, models.count(build, table)) == (START, 0)
    models.advance(Step(build, 0, START, end, 1), put("kept"))
    with pytest.raises(CheckpointMoved):
        models.advance(Step(build, 0, START, end, 1), put("twice"))
    assert [row.stream for row in models.rows(build, table)] == ["kept"]
    assert (models.checkpoint(build).cursor, models.checkpoint(build).events) == (end, 1)


def test_an_event_that_fails_becomes_a_dead_letter_and_all_others_are_worked_in(world):
    store, models = world
    pay(store, "a", *range(1, 40))
    report = ProjectionRunner(store, models).run(Accounts())
    assert balances(models) == {"a": sum(range(1, 40)) - 13}
    assert (report.events, report.dead_letters) == (38, 1)
    [letter] = models.dead_letters(models.live("accounts"))
    assert (letter.stream, letter.version, letter.type) == ("a", 13, "Paid")
    assert letter.error == "ValueError: an unlucky amount"


def test_by_policy_a_projection_stops_before_the_event_that_fails_and_goes_on_from_there_when_mended(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1)
    runner.run(Accounts())
    pay(store, "a", 2, 13, 4)
    with pytest.raises(ProjectionFailed, match=r"Paid at version 3 of 'a'.*an unlucky amount"):
        runner.run(Accounts(), on_error=OnError.STOP)
    assert balances(models) == {"a": 3}

    class Mended(Accounts):
        @on("Paid")
        def paid(self, event, models):
            row = models[Account].get(event.stream)
            row.balance += decode(event.data)["amount"]
            models[Account].put(row)

    runner.run(Mended(), on_error=OnError.STOP)
    assert balances(models) == {"a": 20}


def test_a_handler_that_fails_on_everything_stops_the_run_before_all_is_buried(world):
    store, models = world
    pay(store, "a", *[13] * 150)
    with pytest.raises(ProjectionFailed, match="after 100 others"):
        ProjectionRunner(store, models).run(Accounts())


@only_sql
@pytest.mark.parametrize("value", [2**63, "text with \ud800"])
def test_a_value_that_the_database_cannot_keep_is_the_events_fault_and_not_the_databases(world, value):
    store, models = world

    class Wide(Accounts):
        @on("Paid")
        def paid(self, event, models):
            row = Account(event.stream, decode(event.data)["amount"])
            if row.balance == 2:
                row.balance, row.note = (value, None) if isinstance(value, int) else (0, value)
            models[Account].put(row)

    for stream, amount in [("a", 1), ("b", 2), ("c", 3)]:
        pay(store, stream, amount)
    report = ProjectionRunner(store, models).run(Wide())
    assert (report.dead_letters, balances(models)) == (1, {"a": 1, "c": 3})


def test_a_database_that_fails_is_no_poison(world):
    store, models = world

    class Unlucky(Accounts):
        @on("Paid")
        def paid(self, _event, _models):
            raise DatabaseUnavailable("away")

    pay(store, "a", 1)
    with pytest.raises(DatabaseUnavailable):
        ProjectionRunner(store, models).run(Unlucky())
    assert models.live("accounts") is None


class Doubled(Accounts):
    version = 2

    @on("Paid")
    def paid(self, event, models):
        row = models[Account].get(event.stream) or Account(event.stream)
        row.balance += 2 * decode(event.data)["amount"]
        models[Account].put(row)


def test_a_changed_projection_is_built_beside_and_replaces_the_old_which_is_kept(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1, 2)
    runner.run(Accounts())
    report = runner.run(Doubled())
    assert balances(models) == {"a": 6}
    assert report.events == 2
    assert [build.state for build in models.builds("accounts")] == [BuildState.PREVIOUS, BuildState.LIVE]
    runner.run(Doubled(), rebuild=True)
    assert [build.state for build in models.builds("accounts")] == [BuildState.PREVIOUS, BuildState.LIVE]


def test_readers_see_the_old_rows_until_a_rebuild_has_caught_up(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1)
    runner.run(Accounts())
    seen = []

    class Watched(Doubled):
        def project(self, events, models_):
            seen.append(balances(models))
            super().project(events, models_)

    runner.run(Watched())
    assert seen == [{"a": 1}]
    assert balances(models) == {"a": 2}


def test_a_rebuild_that_broke_off_goes_on_where_it_stood(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1, 2, 3)
    runner.run(Accounts())

    class Slow(Doubled):
        batch_size = 1

    def interrupt(tally):
        if tally.events == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(Slow(), notify=interrupt)
    assert balances(models) == {"a": 6}
    assert runner.run(Slow()).events == 1
    assert balances(models) == {"a": 12}


def test_a_rebuild_that_is_asked_for_begins_from_nothing(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1, 2, 3)
    runner.run(Accounts())

    class Wrong(Accounts):
        batch_size = 1

        @on("Paid")
        def paid(self, event, models):
            models[Account].put(Account(event.stream, 99))

    def interrupt(tally):
        if tally.events == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(Wrong(), rebuild=True, notify=interrupt)
    report = runner.run(Accounts(), rebuild=True)
    assert (report.events, balances(models)) == (3, {"a": 6})


def test_a_rebuild_stops_at_an_event_that_fails_and_nothing_of_it_is_kept(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1, 13, 2)
    runner.run(Accounts())
    with pytest.raises(ProjectionFailed, match="an unlucky amount"):
        runner.run(Accounts(), rebuild=True)
    assert [build.state for build in models.builds("accounts")] == [BuildState.LIVE]
    report = runner.run(Accounts(), rebuild=True, on_error_rebuilding=OnError.SKIP)
    assert (report.dead_letters, balances(models)) == (1, {"a": 3})


def test_a_rebuild_ends_although_the_live_build_has_searched_beyond_the_last_event(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    end = pay(store, "a", 1).cursor
    runner.run(Accounts())
    live = models.live("accounts")
    beyond = Cursor(
        end.epoch, end.transaction, end.position + 1000
    )  # as a follower's checkpoint is at a fence
    models.advance(Step(live, 0, models.checkpoint(live).cursor, beyond), lambda _unit: None)
    assert runner.run(Accounts(), rebuild=True).build > live.id
    assert balances(models) == {"a": 1}


def test_a_read_model_aside_with_dead_letters_is_built_anew_and_by_policy_not_at_all(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1, 13)

    class Mended(Accounts):
        @on("Paid")
        def paid(self, event, models):
            row = models[Account].get(event.stream) or Account(event.stream)
            row.balance += decode(event.data)["amount"]
            models[Account].put(row)

    now = datetime.now(UTC) + timedelta(minutes=1)
    with pytest.raises(ProjectionFailed):
        runner.as_of(Accounts(), now, on_error=OnError.STOP)
    assert models.count_dead(runner.as_of(Accounts(), now)) == 1
    build = runner.as_of(Mended(), now)
    assert [row.balance for row in models.rows(build, Accounts.tables[0])] == [14]


def test_one_goes_back_to_the_previous_build_and_no_run_goes_forward_by_itself(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1)
    runner.run(Accounts())
    runner.run(Doubled())
    assert models.rollback("accounts").state is BuildState.LIVE
    assert balances(models) == {"a": 1}
    held = runner.run(Doubled())
    assert "went back" in held.notice
    assert balances(models) == {"a": 1}
    pay(store, "a", 1)
    runner.run(Accounts())
    assert balances(models) == {"a": 2}
    runner.run(Doubled(), rebuild=True)
    assert balances(models) == {"a": 4}


def test_there_is_no_way_back_without_a_previous_build(world):
    store, models = world
    ProjectionRunner(store, models).run(Accounts())
    with pytest.raises(ConfigurationError, match="no previous build"):
        models.rollback("accounts")


def test_a_build_that_is_behind_the_live_one_never_replaces_it(world):
    store, models = world
    pay(store, "a", 1)
    ProjectionRunner(store, models).run(Accounts())
    behind = models.open(Doubled(), BuildState.BUILDING)
    with pytest.raises(NotCaughtUp):
        models.promote(behind)
    assert models.live("accounts").id != behind.id


def test_a_worker_of_a_build_that_was_replaced_finds_out(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1)
    runner.run(Accounts())
    old = models.live("accounts")
    runner.run(Doubled())
    end = pay(store, "a", 1).cursor
    with pytest.raises(CheckpointMoved):
        models.advance(Step(old, 0, models.checkpoint(old).cursor, end, 1), lambda _unit: None)


def test_partitions_of_the_streams_are_worked_in_by_threads_to_the_same_rows(world):
    store, models = world
    for number in range(40):
        pay(store, f"s-{number}", number, 1)
    report = ProjectionRunner(store, models, partitions=4).run(Accounts())
    assert balances(models) == {f"s-{number}": number + 1 for number in range(40) if number != 13} | {
        "s-13": 1
    }
    assert (report.events, report.dead_letters, models.live("accounts").partitions) == (79, 1, 4)
    pay(store, "s-1", 7)
    assert ProjectionRunner(store, models).run(Accounts()).events == 1
    assert balances(models)["s-1"] == 9


def test_a_read_model_as_of_a_moment_or_a_place_is_built_aside(world):
    store, models = world
    middle = pay(store, "a", 1, at=NOON).cursor
    pay(store, "a", 2, at=NOON + timedelta(days=2))
    pay(store, "b", 3, at=NOON + timedelta(days=1))
    runner = ProjectionRunner(store, models)
    runner.run(Accounts())

    def at(when, clock=Clock.OCCURRED):
        build = runner.as_of(Accounts(), when, clock=clock)
        return {row.stream: row.balance for row in models.rows(build, Accounts.tables[0])}

    assert at(NOON + timedelta(days=1)) == {"a": 1, "b": 3}
    assert at(NOON - timedelta(days=1)) == {}
    assert at(middle) == {"a": 1}
    assert at(datetime.now(UTC), Clock.RECORDED) == {"a": 3, "b": 3}
    assert balances(models) == {"a": 3, "b": 3}
    assert [build.state for build in models.builds("accounts")] == [BuildState.LIVE, BuildState.ASIDE]


def test_a_projection_follows_the_log_until_it_is_told_to_stop(world):
    store, models = world
    stop, worked = threading.Event(), threading.Event()
    runner = ProjectionRunner(store, models)

    def notify(_tally):
        worked.set()

    thread = threading.Thread(
        target=runner.follow, args=(Accounts(), stop), kwargs={"notify": notify, "poll": 0.05}
    )
    thread.start()
    try:
        for total in (1, 2, 3):
            pay(store, "a", 1)
            while balances(models) != {"a": total} if models.live("accounts") else True:
                assert worked.wait(20)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_a_follower_outlives_a_database_that_is_away_for_a_while(world):
    store, models = world
    stop, away = threading.Event(), threading.Event()

    class Flaky:
        def __getattr__(self, name):
            if away.is_set():
                raise DatabaseUnavailable("away")
            return getattr(store, name)

    pay(store, "a", 1)
    away.set()
    runner = ProjectionRunner(Flaky(), models)
    thread = threading.Thread(target=runner.follow, args=(Accounts(), stop), kwargs={"poll": 0.01})
    thread.start()
    try:
        stop.wait(0.1)
        assert thread.is_alive()
        assert models.live("accounts") is None
        away.clear()
        while not (models.live("accounts") and balances(models) == {"a": 1}):
            assert thread.is_alive()
            stop.wait(0.01)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_rows_are_found_by_columns_and_by_an_item_of_a_list(world):
    store, models = world
    pay(store, "a", 1, 2)
    pay(store, "b", 2)
    ProjectionRunner(store, models).run(Accounts())
    reader = live_reader(models, Accounts(), Accounts.tables[0])

    def streams(*conditions):
        meant = everything()
        for condition in conditions:
            meant &= asked(Accounts.tables[0], condition)
        return [row.stream for row in reader.walk(meant)]

    assert streams() == ["a", "b"]
    assert streams("balance=2") == ["b"]
    assert streams("history=1") == ["a"]
    assert streams("stream=b", "balance=3") == []
    assert streams("history=1", "is_open=true", "price=0.10") == ["a"]
    assert streams("empty=null", "note!=null") == ["a", "b"]
    assert streams("mood=good", "changed_at>=2026-01-01T13:00:00+01:00") == ["a", "b"]
    with pytest.raises(ConfigurationError, match=r"'many' does not fit the column 'balance' \(integer\)"):
        streams("balance=many")
    with pytest.raises(ConfigurationError, match="there is no column 'colour'"):
        streams("colour=red")


def test_a_read_model_that_was_never_built_has_no_reader(world):
    _, models = world
    with pytest.raises(ConfigurationError, match="accounts was never built: pipelines project accounts"):
        live_reader(models, Accounts(), Accounts.tables[0])


@only_sql
def test_a_view_shows_the_live_rows_to_any_sql_tool(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1)
    runner.run(Accounts())
    runner.run(Doubled())
    query = "SELECT stream, balance FROM accounts WHERE changed_at IS NULL"
    with models._work.engine.connect() as connection:
        assert connection.execute(sa.text(query)).all() == [("a", 2)]


@only_sql
def test_nothing_is_left_of_builds_that_were_replaced_twice(world):
    store, models = world
    runner = ProjectionRunner(store, models)
    runner.run(Accounts())
    for _ in range(3):
        runner.run(Accounts(), rebuild=True)
    names = sa.inspect(models._work.engine).get_table_names()
    assert sum(name.startswith("accounts__") for name in names) == 2


@only_sql
def test_a_projection_cannot_take_the_name_of_a_table_of_the_platform(world):
    _, models = world

    class Events(Accounts):
        name = "events"

    with pytest.raises(ConfigurationError, match="is a table of the platform"):
        models.open(Events(), BuildState.BUILDING)


def test_two_handlers_for_one_type_are_refused():
    with pytest.raises(ConfigurationError, match="two handlers for Paid"):

        class Twice(Accounts):
            @on("Paid")
            def again(self, event, models):
                pass


class Visit(msgspec.Struct):
    stream: str
    number: int


class Badge(msgspec.Struct):
    code: str
    stream: str


class Visits(Projection):
    name = "visits"
    tables = (Table(Visit, key=["stream", "number"]), Table(Badge, key=["code"], name="badges"))
    by_stream = True

    @on("Came")
    def came(self, event, models):
        models[Visit].put(Visit(event.stream, event.version))
        models[Badge].put(Badge(f"{event.stream}/{event.version}", event.stream))


class Farewells(Visits):
    """Takes tombstones itself, and so keeps what it likes."""

    name = "farewells"

    @on(TOMBSTONED)
    def left(self, event, models):
        models[Badge].put(Badge("gone", event.stream))


class Unbound(Visits):
    name = "unbound"
    by_stream = False


def come(store, stream, times=1):
    store.append(stream, [NewEvent("Came") for _ in range(times)], Expected.ANY)


def shown(models, projection):
    return (
        [(row.stream, row.number) for row in rows(models, projection)],
        [row.code for row in rows(models, projection, 1)],
    )


@pytest.mark.parametrize("partitions", [1, 3])
def test_rows_of_a_tombstoned_stream_go_with_it(world, partitions):
    store, models = world
    runner = ProjectionRunner(store, models, partitions)
    come(store, "a", 2)
    come(store, "b")
    runner.run(Visits())
    store.tombstone("a")
    come(store, "b")
    report = runner.run(Visits())
    assert shown(models, Visits()) == ([("b", 1), ("b", 2)], ["b/1", "b/2"])
    assert (report.events, report.lag, report.dead_letters) == (2, 0, 0)
    runner.run(Visits(), rebuild=True)
    assert shown(models, Visits()) == ([("b", 1), ("b", 2)], ["b/1", "b/2"])


@pytest.mark.parametrize(
    ("projection", "badges"), [(Farewells(), ["a/1", "gone"]), (Unbound(), ["a/1"])], ids=["own", "unbound"]
)
def test_a_projection_that_takes_tombstones_itself_or_is_not_by_stream_is_left_alone(
    world, projection, badges
):
    store, models = world
    come(store, "a")
    ProjectionRunner(store, models).run(projection)
    store.tombstone("a")
    ProjectionRunner(store, models).run(projection)
    assert shown(models, projection) == ([("a", 1)], badges)


def test_what_a_batch_knew_of_a_stream_is_known_no_more_once_it_was_dropped(world):
    store, models = world
    come(store, "a")
    ProjectionRunner(store, models).run(Visits())
    live, seen = models.live("visits"), []

    def work(unit):
        tables = Models(Visits.tables, unit)
        tables[Visit].put(Visit("a", 7))
        seen.append(tables[Visit].get("a", 1))
        tables.drop_stream("a")
        seen.extend([tables[Visit].get("a", 1), tables[Visit].get("a", 7)])
        tables.flush()

    cursor = models.checkpoint(live).cursor
    models.advance(Step(live, 0, cursor, cursor, 1), work)
    assert seen == [Visit("a", 1), None, None]
    assert shown(models, Visits()) == ([], [])


def test_what_readers_see_is_told_by_one_look(world):
    store, models = world
    assert models.standing("accounts") is None
    runner = ProjectionRunner(store, models, 3)
    identities = set()
    for _ in range(2):
        pay(store, "a", 1)
        pay(store, "b", 1)
        runner.run(Accounts())
        standing = models.standing("accounts")
        assert standing.build == models.live("accounts")
        assert list(standing.marks) == [models.checkpoint(standing.build, index) for index in range(3)]
        identities.add(standing.identity)
    cursor = standing.marks[0].cursor
    further = msgspec.structs.replace(cursor, position=cursor.position + 1)
    models.advance(Step(standing.build, 0, cursor, further), lambda _unit: None)  # past events of others
    identities.add(models.standing("accounts").identity)
    runner.run(Accounts(), rebuild=True)
    identities.add(models.standing("accounts").identity)
    assert len(identities) == 3


@only_sql
def test_a_build_that_is_gone_or_has_moved_is_no_fault_of_the_database(world):
    store, models = world
    waits = []
    guard = Guard("database", ResilienceConfig().database, sleep=waits.append)
    guarded(models._work.engine, guard)
    models = SqlReadModels(models._work.engine)
    runner = ProjectionRunner(store, models)
    pay(store, "a", 1)
    runner.run(Accounts())
    live = models.live("accounts")
    with pytest.raises(CheckpointMoved):
        models.advance(Step(live, 0, START, models.checkpoint(live).cursor, 1), lambda _unit: None)
    begun = models.open(Doubled(), BuildState.BUILDING)
    with pytest.raises(NotCaughtUp):
        models.promote(begun)
    models.drop(begun)
    with pytest.raises(CheckpointMoved):
        models.checkpoint(begun)
    assert (guard.state().failures, guard.state().retries, waits) == (0, 0, [])
