"""docs/events.md says what the code says."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from pipelines_persistence.pipelines import PipelineStatus, StepStatus, ToolExecution, registry
from pipelines_persistence.pipelines import events as domain

TEXT = (Path(__file__).parents[3] / "docs" / "events.md").read_text(encoding="utf-8")


def table(heading):
    """Return the fields and defaults of the first table after a heading."""
    after = TEXT.split(f"\n{heading}\n", 1)[1]
    rows = re.match(r"\s*\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", after).group(1)
    cells = [[cell.strip().strip("`") for cell in row.split("|")[1:-1]] for row in rows.splitlines()]
    return {name: default for name, _, default, _ in cells}


def default(field):
    if field.required:
        return ""
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return json.dumps(value)


@pytest.mark.parametrize("name", registry.versions)
def test_each_event_has_a_table_of_its_fields_and_defaults(name):
    fields = msgspec.structs.fields(getattr(domain, name))
    assert table(f"### {name}") == {field.encode_name: default(field) for field in fields}


def test_so_has_a_tool_execution():
    assert list(table("A tool execution:")) == list(ToolExecution.__struct_fields__)


def test_no_other_event_is_described():
    assert set(re.findall(r"^### (.*)$", TEXT, flags=re.MULTILINE)) == set(registry.versions)


def test_every_status_is_named():
    for status in (*PipelineStatus, *StepStatus):
        assert f"`{status}`" in TEXT
