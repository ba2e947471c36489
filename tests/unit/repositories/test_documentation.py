"""What docs/repositories.md shows is run."""

import os
import re
from pathlib import Path

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_unit_of_work import MemoryUnitOfWork

TEXT = (Path(__file__).parents[3] / "docs" / "repositories.md").read_text(encoding="utf-8")


BY_ITSELF, *OTHERS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_first_program_of_the_documentation_works_in_an_empty_folder(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIPELINES_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    assert "Platform" in BY_ITSELF
    exec(BY_ITSELF, {"__name__": "documentation"})
    assert (tmp_path / "dagster_home" / "data" / "events.sqlite").exists()


def test_the_code_of_the_documentation_works():
    space = {"__name__": "documentation"}
    for block in OTHERS:
        exec(block, space)
    store = MemoryEventStore()
    units, order = MemoryUnitOfWork(store), space["Order"]
    units.open(space["ORDERS"])
    for number in range(1, 31):
        space["place"](units, order(f"{number}", "c-1", 100 + number, tags=["gift"], note="quick"))
    items, following, first, tagged, large, any_tagged = space["report"](units.repository(space["ORDERS"]))
    assert [len(items), len(following.items), items[0].total, first.total] == [20, 10, 130, 101]
    assert (tagged.total, large, any_tagged, store.version("order-30")) == (130, 30, True, 1)
