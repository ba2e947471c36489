"""A reader of a read model: it follows the live build, and what it keeps is the answer of exactly what readers see."""

import msgspec
import pytest

from pipelines_persistence.adapters.caching.local import MemoryLevel
from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_read_models import MemoryReadModels
from pipelines_persistence.caching import TieredCache
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.projections import Projection, ProjectionRunner, Table, on
from pipelines_persistence.projections.cached import LiveReader
from pipelines_persistence.projections.ports import Step, live_build
from pipelines_persistence.repositories import field


class Total(msgspec.Struct):
    type: str
    events: int = 0
    tags: list[str] = []


class Totals(Projection):
    name = "totals"
    tables = (Table(Total, key=["type"]),)

    @on()
    def happened(self, event, models):
        row = models[Total].get(event.type) or Total(event.type)
        row.events += 1
        models[Total].put(row)


class Counted(MemoryReadModels):
    """Counts how often rows are asked for, and lets something happen meanwhile."""

    asked = 0
    meanwhile = staticmethod(lambda: None)

    def repository(self, build, table):
        self.asked += 1
        self.meanwhile()
        return super().repository(build, table)


class Desk:
    def __init__(self):
        self.store, self.models = MemoryEventStore(), Counted()
        self.runner = ProjectionRunner(self.store, self.models)
        self.cache = TieredCache(MemoryLevel(2**20))

    def happen(self, *types, rebuild=False):
        for number, type_ in enumerate(types):
            self.store.append(f"{type_}-{number}", [NewEvent.of(type_, {})], Expected.ANY)
        self.runner.run(Totals(), rebuild=rebuild)

    def reader(self):
        return LiveReader(self.models, "totals", Totals.tables[0], self.cache)


@pytest.fixture
def desk():
    desk = Desk()
    desk.happen("Placed", "Paid", "Paid")
    return desk


QUESTIONS = {
    "get": lambda reader: reader.get("Paid"),
    "get what is not there": lambda reader: reader.get("Lost"),
    "first": lambda reader: reader.first(order=["-events"]),
    "find": lambda reader: reader.find(field("events") >= 1, order=["type"], limit=1).items,
    "count": lambda reader: reader.count(field("type") != "Paid"),
    "exists": lambda reader: reader.exists(field("type") == "Lost"),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_an_answer_is_the_reader_s_own_and_asked_for_once(desk, question):
    expected = question(desk.models.repository(live_build(desk.models, "totals"), Totals.tables[0]))
    desk.models.asked = 0
    assert question(desk.reader()) == expected
    assert question(desk.reader()) == expected
    assert desk.models.asked == 1


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_reader_that_is_kept_shows_what_was_worked_in_since_whatever_build_that_is(desk, rebuild):
    reader = desk.reader()
    for seen in range(2, 6):  # with each rebuild but the first, the one before the last is dropped
        assert (reader.get("Paid").events, reader.count(), reader.exists()) == (seen, 2, True)
        assert [row.events for row in reader.walk(field("type") == "Paid")] == [seen]
        desk.happen("Paid", rebuild=rebuild)


def test_a_reader_that_is_kept_goes_back_with_a_rollback(desk):
    reader = desk.reader()
    desk.runner.run(Totals(), rebuild=True)
    desk.happen("Paid")
    assert reader.get("Paid").events == 3
    desk.models.rollback("totals")
    assert reader.get("Paid").events == 2


def test_what_moves_while_it_is_read_is_read_and_not_kept_under_what_it_was(desk):
    reader, before = desk.reader(), desk.models.standing("totals")
    times = iter(range(5))

    def happen():
        if next(times, None) is not None:
            desk.happen("Paid")

    desk.models.meanwhile = happen
    assert reader.get("Paid").events == 6  # of the fourth look, which was not kept
    assert reader.get("Paid").events == 7
    desk.models.standing = lambda _: before  # as after a restore of the database
    desk.models.asked = 0
    reader.get("Paid")
    assert desk.models.asked == 1


def test_a_build_that_is_dropped_while_it_is_read_is_not_asked_twice(desk):
    reader = desk.reader()

    def replace():
        desk.models.meanwhile = lambda: None
        desk.happen("Paid", rebuild=True)
        desk.happen("Paid", rebuild=True)

    desk.models.meanwhile = replace
    assert reader.get("Paid").events == 4
    desk.models.meanwhile = replace
    assert reader.find(include=[]).items[0].events == 6


def test_moving_past_what_is_not_its_own_leaves_a_read_model_what_it_is(desk):
    build, mark = (
        desk.models.standing("totals").build,
        desk.models.checkpoint(live_build(desk.models, "totals")),
    )
    seen = desk.models.standing("totals").identity
    further = msgspec.structs.replace(mark.cursor, position=mark.cursor.position + 1)
    desk.models.advance(Step(build, 0, mark.cursor, further), lambda _unit: None)
    assert desk.models.standing("totals").identity == seen
    desk.models.advance(Step(build, 0, further, mark.cursor, events=1), lambda _unit: None)
    assert desk.models.standing("totals").identity != seen


def test_another_question_has_another_answer(desk):
    reader = desk.reader()
    assert reader.count(field("events") > 1) == 1
    assert reader.count(field("events") >= 1) == 2
    assert reader.first(order=["type"]) != reader.first(order=["-type"])
    pages = [reader.find(limit=1), reader.find(limit=1, after=reader.find(limit=1).next)]
    assert [row.type for page in pages for row in page.items] == ["Paid", "Placed"]


def test_a_row_that_was_handed_out_belongs_to_who_asked(desk):
    reader = desk.reader()
    reader.get("Paid").tags.append("mine")
    assert reader.get("Paid").tags == []
