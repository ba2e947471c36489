"""What docs/projections.md shows is run."""

import re
from pathlib import Path

import yaml

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_read_models import MemoryReadModels
from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.projections import ProjectionRunner
from pipelines_persistence.projections.shipped import SHIPPED

TEXT = (Path(__file__).parents[3] / "docs" / "projections.md").read_text(encoding="utf-8")


def block(language):
    return re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)[1]


def test_the_projection_of_the_documentation_works():
    space = {"__name__": "documentation"}
    exec(block("python"), space)
    store, models = MemoryEventStore(), MemoryReadModels()
    store.append(
        "order-1", [NewEvent.of("OrderPlaced", {"total": 7}), NewEvent("OrderPaid")], Expected.NO_STREAM
    )
    orders = space["Orders"]()
    ProjectionRunner(store, models).run(orders)
    [row] = models.rows(models.live("orders"), orders.tables[0])
    assert (row.stream, row.total, row.is_paid) == ("order-1", 7, True)


def test_its_rows_go_with_a_stream_that_is_tombstoned():
    space = {"__name__": "documentation"}
    exec(block("python"), space)
    store, models = MemoryEventStore(), MemoryReadModels()
    for stream in ("order-1", "order-2"):
        store.append(stream, [NewEvent.of("OrderPlaced", {"total": 7})], Expected.NO_STREAM)
    orders = space["Orders"]()
    ProjectionRunner(store, models).run(orders)
    store.tombstone("order-1")
    ProjectionRunner(store, models).run(orders)
    assert [row.stream for row in models.rows(models.live("orders"), orders.tables[0])] == ["order-2"]


def test_the_configuration_of_the_documentation_is_valid():

    EventsConfig.model_validate(yaml.safe_load(block("yaml"))["events"])


def test_every_shipped_projection_is_in_the_table():
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == set(SHIPPED)
