"""Every event set of the shared data, loaded and projected by the command line, against its answer sheet."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore

PIPELINES = Path(sys.executable).with_name("pipelines")
SETS = ["receipt", "helpdesk", "roadtraffic100", "running-example", "git-fastapi"]


@pytest.fixture(scope="module")
def projected(shared_data, tmp_path_factory):
    """Return a function from the name of a set to its facts and a function from a projection to its rows."""
    done = {}

    def run(home, *arguments):
        env = {key: value for key, value in os.environ.items() if not key.startswith("PIPELINES_")}
        command = [str(PIPELINES), *map(str, arguments), "--json"]
        finished = subprocess.run(
            command,
            cwd=home,
            env=env | {"PIPELINES_HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(finished.stdout.splitlines()[-1])

    def project(name):
        if name not in done:
            folder, home = shared_data(f"events-{name}"), tmp_path_factory.mktemp(name)
            facts = json.loads((folder / "facts.json").read_text())
            [file] = folder.glob("events.jsonl*")
            loaded = run(home, "events", "load", file)
            again = run(home, "events", "load", file)
            assert (loaded["read"], loaded["appended"], loaded["rejected"]) == (
                facts["events"],
                facts["events"],
                [],
            )
            assert (again["read"], again["appended"], again["duplicates"]) == (
                facts["events"],
                0,
                facts["events"],
            )
            assert loaded["streams"] == facts["streams"]
            reports = run(home, "project")["projections"]
            assert all(report["dead_letters"] == report["lag"] == 0 for report in reports)
            done[name] = facts, home, lambda projection: run(home, "show", projection)["rows"]
        return done[name]

    return project


@pytest.mark.parametrize("name", SETS)
def test_counts_by_type_and_by_stream_are_those_of_the_answer_sheet(projected, name):
    facts, _, show = projected(name)
    types = {row["type"]: row["events"] for row in show("event_type_counts")}
    assert types == facts["events_per_type"]
    lengths = [row["events"] for row in show("stream_summary")]
    assert (sum(lengths), len(lengths)) == (facts["events"], facts["streams"])
    if "stream_length" in facts:
        assert (min(lengths), max(lengths)) == (facts["stream_length"]["min"], facts["stream_length"]["max"])
    else:
        assert [show("stream_summary")[0][field] for field in ("stream", "events")] == facts["max_stream"]


@pytest.mark.parametrize("name", SETS)
def test_what_follows_what_is_as_pandas_computes_it_from_the_log(projected, name):
    _, home, show = projected(name)
    engine = open_database(f"sqlite:///{home / 'events.sqlite'}")
    events = pd.DataFrame(
        [(event.stream, event.type, event.occurred_at) for event in SqlEventStore(engine).read_all()],
        columns=["stream", "type", "at"],
    )
    engine.dispose()
    before = events.groupby("stream").shift(1)
    pairs = pd.DataFrame(
        {
            "from": before["type"],
            "to": events["type"],
            "gap": (events["at"] - before["at"]).dt.total_seconds(),
        }
    ).dropna()
    groups = pairs.groupby(["from", "to"])["gap"]
    expected = pd.DataFrame({"count": groups.size(), "mean": groups.mean(), "p95": groups.quantile(0.95)})
    found = {(row["from_type"], row["to_type"]): row for row in show("directly_follows")}
    assert set(found) == set(expected.index)
    for pair, row in expected.iterrows():
        assert found[pair]["count"] == row["count"]
        assert found[pair]["mean_gap"] == pytest.approx(row["mean"], rel=1e-12)
        assert found[pair]["p95_gap"] == pytest.approx(row["p95"], rel=1e-12)


def test_the_files_alive_in_a_repository_are_those_of_its_tree(projected, shared_data):
    _, _, show = projected("git-fastapi")
    paths = (shared_data("events-git-fastapi") / "expected_live_paths.txt").read_text().splitlines()
    rows = show("live_entities")
    assert Counter(row["entity"] for row in rows) == Counter(path for path in paths if path)
    assert all(row["since"] and row["last_event"].startswith("File") for row in rows)
