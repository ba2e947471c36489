"""A home whose disk is full: no file in it may grow beyond a size, which is as close as one comes without a disk of one's own."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings

PIPELINES = Path(sys.executable).with_name("pipelines")
CONFIG = """
indexes:
  docs:
    sources: [{name: docs, uri: docs}]
    embedding: {backend: hash}
    chunking: {tokens: 48}
"""


def write(folder, numbers):
    for number in numbers:
        valves = (
            f"Valve {part} of pump {number} is opened, then gauge {part} is read." for part in range(20)
        )
        (folder / "docs" / f"{number}.md").write_text(f"# Pump {number}\n\n" + "\n\n".join(valves))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "pipelines.yaml").write_text(CONFIG)
    write(tmp_path, range(5))
    return tmp_path


def run(folder, *arguments, most=None):
    """Run a command in a process in which no file grows beyond a size (KiB); return its code, its answer and its errors."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PIPELINES_", "REDIS_URL"))}
    limit = None if most is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most * 1024,) * 2)
    done = subprocess.run(
        [str(PIPELINES), *arguments, "--json"],
        cwd=folder,
        env={**env, "PIPELINES_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limit,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def audit(folder):
    """Compare the ledger with the store, and the log with itself; return the number of documents."""
    settings = Settings(home=folder / "home", config=folder / "pipelines.yaml")
    with Platform(settings) as platform:
        generation = platform.ledger.live("docs")
        records = [*platform.ledger.documents(generation)]
        chunks = [chunk for record in records for chunk in platform.ledger.chunks(record.id)]
        assert all(chunk.is_live for chunk in chunks)
        assert sorted(point.id for point in platform.store.scroll("docs")) == sorted(
            c.point_id for c in chunks
        )
        versions = {}
        for event in platform.events.read_all():
            versions.setdefault(event.stream, []).append(event.version)
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    return len(records)


@pytest.mark.parametrize(("most", "says"), [(16, "the ledger"), (300, "creating 'docs-g1")])
def test_a_disk_that_is_full_at_the_start_is_told_and_the_next_run_begins_anew(folder, most, says):
    code, answer, _ = run(folder, "ingest", most=most)
    assert (code, answer["error"]["type"]) == (1, "StorageError")
    assert answer["error"]["message"].startswith(says)
    assert "free space" in answer["error"]["message"]
    assert run(folder, "ingest")[0] == 0
    assert audit(folder) == 5
    assert run(folder, "ingest")[1]["embedded"] == 0


def test_a_disk_that_becomes_full_in_the_middle_of_a_run_loses_nothing_and_search_goes_on(folder):
    assert run(folder, "ingest")[0] == 0
    write(folder, range(5, 60))
    code, answer, _ = run(folder, "ingest", most=600)
    assert (code, answer["error"]["type"]) == (1, "StorageError")
    assert "free space" in answer["error"]["message"]
    code, answer, _ = run(folder, "search", "which gauge of pump 3 is read?", most=600)
    assert (code, len(answer["hits"])) == (0, 5)
    assert run(folder, "ingest")[0] == 0
    assert audit(folder) == 60
    assert run(folder, "ingest")[1]["embedded"] == 0
