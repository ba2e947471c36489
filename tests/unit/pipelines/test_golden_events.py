"""A golden file for each domain event and each version it ever had.

`data` is what stands in somebody's log, `decodes_to` the event it is today, `schema` that of the current version. Where
one of these tests fails, a change would misread or refuse what was written before: give the type a new version and an
upcaster, let `decodes_to` of the older files say what follows, and add a file for the new version.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pipelines_persistence.events import Cursor, StoredEvent
from pipelines_persistence.pipelines import PipelineAggregate, registry

GOLDEN = Path(__file__).parents[2] / "golden"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
VERSIONS = [(name, number) for name, newest in registry.versions.items() for number in range(1, newest + 1)]


def golden(name, number):
    return json.loads((GOLDEN / "events" / f"{name}.v{number}.json").read_text(encoding="utf-8"))


def decoded(name, number):
    data = json.dumps(golden(name, number)["data"]).encode()
    return registry.decode(
        StoredEvent("pipeline-1", 1, Cursor(1, 0, 1), NOON, "", name, data, number, NOON, None, None, None)
    )


def plain(event):
    return json.loads(msgspec.json.encode(event))


def schema(struct):
    whole = msgspec.json.schema(struct)
    for definition in whole["$defs"].values():
        definition.pop("description", None)
    return plain(whole)


def test_there_is_a_golden_file_for_each_type_and_version_and_for_nothing_else():
    names = {path.name for path in (GOLDEN / "events").iterdir()}
    assert names == {f"{name}.v{number}.json" for name, number in VERSIONS}


@pytest.mark.parametrize(("name", "number"), VERSIONS)
def test_each_version_decodes_to_what_its_golden_file_says(name, number):
    assert plain(decoded(name, number)) == golden(name, number)["decodes_to"]


@pytest.mark.parametrize(("name", "number"), registry.versions.items())
def test_no_field_of_the_current_version_has_changed(name, number):
    assert schema(type(decoded(name, number))) == golden(name, number)["schema"]
    assert plain(decoded(name, number)) == golden(name, number)["data"]


def test_the_state_that_follows_from_all_of_them_is_that_of_its_version():
    """Where this fails, snapshots that exist are wrong: raise `PipelineAggregate.state_version`."""
    history = [decoded(name, number) for name, number in registry.versions.items()]
    aggregate = PipelineAggregate("1").replay(enumerate(history, 1))
    said = json.loads((GOLDEN / "states" / "pipeline.json").read_text(encoding="utf-8"))
    assert said == {"state_version": PipelineAggregate.state_version, "state": plain(aggregate.state)}
