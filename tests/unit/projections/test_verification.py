"""A read model against a replay of its log: what a tampered, a moving and a partitioned one give."""

import random

import msgspec
import pytest

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_read_models import MemoryReadModels
from pipelines_persistence.errors import RunCancelled, StorageError
from pipelines_persistence.events import Expected, NewEvent, decode
from pipelines_persistence.projections import (
    BuildState,
    CheckpointMoved,
    Projection,
    ProjectionRunner,
    Step,
    Table,
    on,
)
from pipelines_persistence.projections.verification import Verifier
from pipelines_persistence.projections.working import Worker


class Account(msgspec.Struct):
    stream: str
    balance: int = 0
    rate: float = 0.0
    notes: dict[str, list[float]] = {}


class Accounts(Projection):
    name = "accounts"
    tables = (Table(Account, key=["stream"]),)
    by_stream = True

    @on("Paid")
    def paid(self, event, models):
        amount = decode(event.data)["amount"]
        if amount == 13:
            raise ValueError("an unlucky amount")
        row = models[Account].get(event.stream) or Account(event.stream)
        row.balance += amount
        row.rate += amount / 10
        row.notes = {"rates": [*row.notes.get("rates", []), row.rate]}
        models[Account].put(row)


class Total(msgspec.Struct):
    name: str
    events: int = 0


class Totals(Projection):
    name = "totals"
    tables = (Table(Total, key=["name"]),)

    @on()
    def happened(self, event, models):
        row = models[Total].get(event.type) or Total(event.type)
        row.events += 1
        models[Total].put(row)


class World:
    """A log, read models, and hands that reach into them."""

    def __init__(self):
        self.store, self.models = MemoryEventStore(), MemoryReadModels()

    def pay(self, stream, *amounts):
        events = [NewEvent.of("Paid", {"amount": amount}) for amount in amounts]
        self.store.append(stream, events, Expected.ANY)

    def run(self, projection, partitions=1):
        return ProjectionRunner(self.store, self.models, partitions).run(projection)

    def tamper(self, projection, work):
        """Changes rows behind the projection's back: the checkpoint stays where it is."""
        build = self.models.live(projection.name)
        for index in range(build.partitions):
            mark = self.models.checkpoint(build, index).cursor
            self.models.advance(Step(build, index, mark, mark), lambda unit: work(unit, projection.tables[0]))

    def verify(self, projection, **options):
        return Verifier(self.store, self.models, MemoryReadModels, **options).verify(projection)


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_model_that_follows_from_its_log_passes_whole(world, partitions):
    for number in range(40):
        world.pay(f"account-{number}", 1, 2)
    world.run(Accounts(), partitions)
    found = world.verify(Accounts())
    assert (found.passed, found.events, found.rows, found.notice) == (True, 80, 40, "")
    assert found.sample == "all streams"


@pytest.mark.parametrize("partitions", [1, 3])
def test_of_a_large_log_a_share_of_the_streams_is_replayed_and_each_share_passes(world, partitions):
    for number in range(300):
        world.pay(f"account-{number}", 1, 2)
    world.run(Accounts(), partitions)
    seen = {}
    for seed in range(60):
        found = world.verify(Accounts(), limit=100, chance=random.Random(seed))
        assert found.passed
        assert 0 < found.events < 250
        seen[found.sample] = found.rows
    assert len(seen) == 6
    assert sum(seen.values()) == 300
    assert "share 1 of 6 of the streams" in seen


def test_a_share_is_never_smaller_than_a_bucket(world):
    for number in range(600):
        world.pay(f"account-{number}", 1)
    world.run(Accounts())
    found = world.verify(Accounts(), limit=1, chance=random.Random(1))
    assert found.sample.endswith("of 256 of the streams")
    assert found.passed


def test_a_row_that_was_changed_one_that_is_missing_and_one_too_many_are_told(world):
    for number in range(4):
        world.pay(f"account-{number}", 5)
    world.run(Accounts())
    rows = [Account("account-1", 6, 0.5, {"rates": [0.5]}), Account("account-9")]
    world.tamper(
        Accounts, lambda unit, table: (unit.upsert(table, rows), unit.delete(table, [("account-2",)]))
    )
    found = world.verify(Accounts())
    assert not found.passed
    assert found.differing == 3
    by_key = {difference.key: difference for difference in found.differences}
    assert by_key["account-1",].expected["balance"] == 5
    assert by_key["account-1",].found["balance"] == 6
    assert by_key["account-2",].found is None
    assert by_key["account-9",].expected is None


def test_no_row_of_another_share_is_held_against_a_share(world):
    for number in range(200):
        world.pay(f"account-{number}", 1)
    world.run(Accounts())
    world.tamper(Accounts, lambda unit, table: unit.upsert(table, [Account("account-9", 99)]))
    verdicts = {}
    for seed in range(40):
        found = world.verify(Accounts(), limit=50, chance=random.Random(seed))
        verdicts[found.sample] = found.passed
    assert sorted(verdicts.values()) == [False, True, True, True]


def test_many_differences_are_counted_and_the_first_are_told(world):
    for number in range(50):
        world.pay(f"account-{number}", 1)
    world.run(Accounts())
    rows = [Account(f"account-{number}", 7) for number in range(50)]
    world.tamper(Accounts, lambda unit, table: unit.upsert(table, rows))
    found = world.verify(Accounts())
    assert (found.differing, len(found.differences)) == (50, 20)


def test_the_last_digits_of_a_float_do_not_count_and_others_do(world):
    world.pay("account-1", 1, 2)
    world.run(Accounts())
    near = Account("account-1", 3, 0.3 + 1e-13, {"rates": [0.1, 0.3 - 1e-13]})
    world.tamper(Accounts, lambda unit, table: unit.upsert(table, [near]))
    assert world.verify(Accounts()).passed
    far = msgspec.structs.replace(near, notes={"rates": [0.1, 0.31]})
    world.tamper(Accounts, lambda unit, table: unit.upsert(table, [far]))
    assert not world.verify(Accounts()).passed


def test_events_that_were_passed_over_are_no_difference(world):
    world.pay("account-1", 1, 13, 2)
    assert world.run(Accounts()).dead_letters == 1
    found = world.verify(Accounts())
    assert (found.passed, found.events) == (True, 2)


def test_an_event_that_was_worked_in_and_fails_in_the_replay_is_told(world):
    world.pay("account-1", 1, 12)
    world.run(Accounts())

    class Stricter(Accounts):
        """The same fingerprint, and other behaviour: what a forgotten version does."""

        @on("Paid")
        def paid(self, event, models):
            if decode(event.data)["amount"] == 12:
                raise ValueError("a dozen")
            super().paid(event, models)

    found = world.verify(Stricter())
    assert not found.passed
    assert "ValueError: a dozen" in found.obstacle


def test_what_came_after_the_checkpoint_is_not_expected(world):
    world.pay("account-1", 1)
    world.run(Accounts())
    world.pay("account-1", 1)
    world.pay("account-2", 1)
    found = world.verify(Accounts())
    assert (found.passed, found.rows) == (True, 1)


def test_each_partition_is_held_against_its_own_checkpoint(world):
    for number in range(30):
        world.pay(f"account-{number}", 1)
    world.run(Accounts(), partitions=3)
    for number in range(30):
        world.pay(f"account-{number}", 1)
    build = world.models.live("accounts")
    Worker(world.store, world.models, Accounts(), build, partition=1).catch_up(world.store.head())
    found = world.verify(Accounts())
    assert found.passed
    assert 30 < found.events < 60


def test_a_projection_over_several_streams_is_replayed_whole_or_not_at_all(world):
    world.pay("account-1", 1, 2)
    world.pay("account-2", 3)
    world.run(Totals())
    whole, none = world.verify(Totals(), limit=3), world.verify(Totals(), limit=2)
    assert (whole.passed, whole.events, whole.sample) == (True, 3, "all streams")
    assert (none.passed, none.events, none.sample) == (True, 0, "")
    assert "3 events are more than the 2 to replay" in none.notice


def test_what_was_never_built_or_is_of_another_version_is_not_compared(world):
    class Next(Accounts):
        version = 2

    assert world.verify(Accounts()).notice == "it was never built"
    world.run(Accounts())
    assert Next().fingerprint in world.verify(Next()).notice


class Moving(MemoryReadModels):
    """Somebody works events in whenever rows have been read."""

    def __init__(self, moves):
        super().__init__()
        self.move, self.moves = (lambda: None), moves

    def rows(self, build, table):
        found = list(super().rows(build, table))
        if self.moves and build.state is BuildState.LIVE:
            self.moves -= 1
            self.move()
        if build.id not in {one.id for one in self.builds()}:
            raise StorageError("no such table")  # as a database would
        return iter(found)


@pytest.mark.parametrize(("moves", "notice"), [(3, ""), (9, "it moved 5 times while it was read")])
def test_a_model_that_moves_while_it_is_read_is_read_again(world, moves, notice):
    world.models = Moving(moves)

    def move():
        world.pay("account-1", 1)
        world.run(Accounts())

    world.models.move = move
    world.pay("account-1", 1)
    world.run(Accounts())
    found = world.verify(Accounts())
    assert found.passed
    assert found.notice.startswith(notice)
    assert found.events == (0 if notice else 4)


def test_a_model_that_is_replaced_while_it_is_read_is_looked_up_again(world):
    world.models = Moving(1)

    def replace():
        old = world.models.live("accounts")
        for _ in range(2):  # the first one is kept to go back to
            ProjectionRunner(world.store, world.models).run(Accounts(), rebuild=True)
        with pytest.raises(CheckpointMoved):
            world.models.checkpoint(old)

    world.models.move = replace
    world.pay("account-1", 1)
    world.run(Accounts())
    found = world.verify(Accounts())
    assert (found.passed, found.events, found.notice) == (True, 1, "")


def test_a_replay_can_be_cancelled_between_two_batches(world):
    world.pay("account-1", 1)
    world.run(Accounts())

    def cancel(_tally):
        raise RunCancelled("stop")

    with pytest.raises(RunCancelled):
        world.verify(Accounts(), notify=cancel)
