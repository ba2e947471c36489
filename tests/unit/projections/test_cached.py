"""Answers of a read model that are kept: never older than its checkpoint, never those of another build."""

import msgspec
import pytest

from pipelines_persistence.adapters.caching.local import MemoryLevel
from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_read_models import MemoryReadModels
from pipelines_persistence.caching import TieredCache
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.projections import Projection, ProjectionRunner, Table, on
from pipelines_persistence.projections.cached import CachedReader
from pipelines_persistence.projections.ports import live_build
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


class Counted:
    """A reader that counts what is asked of it."""

    def __init__(self, reader):
        self._reader = reader
        self.asked = 0

    def __getattr__(self, name):
        self.asked += 1
        return getattr(self._reader, name)


class Desk:
    def __init__(self):
        self.store, self.models = MemoryEventStore(), MemoryReadModels()
        self.runner = ProjectionRunner(self.store, self.models)
        self.cache = TieredCache(MemoryLevel(2**20))

    def happen(self, *types, rebuild=False):
        for number, type_ in enumerate(types):
            self.store.append(f"{type_}-{number}", [NewEvent.of(type_, {})], Expected.ANY)
        self.runner.run(Totals(), rebuild=rebuild)

    def reader(self):
        build, table = live_build(self.models, "totals"), Totals.tables[0]
        counted = Counted(self.models.repository(build, table))
        return CachedReader(counted, self.models, build, table, self.cache), counted


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
    reader, counted = desk.reader()
    assert question(reader) == expected
    assert question(desk.reader()[0]) == expected
    assert counted.asked == 1


@pytest.mark.parametrize("rebuild", [False, True])
def test_what_was_worked_in_since_is_in_the_answer(desk, rebuild):
    reader, _ = desk.reader()
    assert (reader.get("Paid").events, reader.count()) == (2, 2)
    desk.happen("Paid", "Shipped", rebuild=rebuild)
    reader, _ = desk.reader()
    assert (reader.get("Paid").events, reader.count()) == (3, 3)


def test_another_question_has_another_answer(desk):
    reader, _ = desk.reader()
    assert reader.count(field("events") > 1) == 1
    assert reader.count(field("events") >= 1) == 2
    assert reader.first(order=["type"]) != reader.first(order=["-type"])
    pages = [reader.find(limit=1), reader.find(limit=1, after=reader.find(limit=1).next)]
    assert [row.type for page in pages for row in page.items] == ["Paid", "Placed"]


def test_a_row_that_was_handed_out_belongs_to_who_asked(desk):
    reader, _ = desk.reader()
    reader.get("Paid").tags.append("mine")
    assert reader.get("Paid").tags == []
