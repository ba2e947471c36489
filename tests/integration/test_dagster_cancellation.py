"""A run that is asked to stop: in a process of its own, which gets what Dagster's run launcher sends."""

import os
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest

from pipelines_persistence.platform import Platform
from pipelines_persistence.records import RunState
from pipelines_persistence.settings import Settings

DOCUMENTS = 600  # three batches
PIPELINES = """
indexes:
  archive:
    sources: [{name: pages, uri: docs}]
    embedding: {backend: "slow_embedder:SlowEmbedder"}
"""
SLOW_EMBEDDER = """
import pathlib, time, zlib

class SlowEmbedder:
    dimension = 4
    max_tokens = 64

    def embed_documents(self, texts):
        with pathlib.Path("batches").open("a") as batches:
            batches.write(f"{len(texts)}\\n")
        time.sleep(1.5)
        return [[1.0, *(float(zlib.crc32(text.encode()) >> shift & 255) for shift in (0, 8, 16))] for text in texts]

    def embed_query(self, text):
        return [1.0, 0.0, 0.0, 0.0]
"""
RUN = """
import sys
import dagster as dg
from pipelines_persistence.definitions import defs

with dg.DagsterInstance.get() as instance:
    defs.resolve_job_def("ingest_archive").execute_in_process(
        instance=instance, run_id=sys.argv[1], raise_on_error=False
    )
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "docs").mkdir()
    for number in range(DOCUMENTS):
        (tmp_path / "docs" / f"page-{number:04}.md").write_text(f"Old page number {number}.\n")
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    (tmp_path / "slow_embedder.py").write_text(SLOW_EMBEDDER)
    (tmp_path / "dagster_home").mkdir()
    (tmp_path / "dagster_home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


@pytest.fixture
def instance(folder):
    with dg.DagsterInstance.from_config(str(folder / "dagster_home")) as instance:
        yield instance


@pytest.fixture
def start(folder):
    started = []

    def start_run(run_id):
        environment = os.environ | {
            "DAGSTER_HOME": str(folder / "dagster_home"),
            "PIPELINES_HOME": str(folder / "home"),
            "PIPELINES_CONFIG": str(folder / "pipelines.yaml"),
            "PYTHONPATH": str(folder),
        }
        command = [sys.executable, "-c", RUN, run_id]
        with (folder / "run.log").open("ab") as log:
            started.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))
        return started[-1]

    yield start_run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def batches(folder):
    path = folder / "batches"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state(folder):
    """Returns what became of the last run, the points in the store, and those that the ledger knows."""
    with Platform(Settings(home=folder / "home", config=folder / "pipelines.yaml")) as platform:
        (last,) = platform.ledger.runs("archive", 1)
        (collection,) = platform.store.collections()
        generation = platform.ledger.by_collection(collection)
        return last.state, platform.store.count(collection), platform.ledger.live_points(generation)


def test_a_cancelled_run_stops_after_its_batch_and_the_next_run_completes_it(folder, instance, start):
    first = dg.DagsterRun(job_name="ingest_archive").run_id
    process = start(first)
    until(lambda: len(batches(folder)) == 2)  # the first is written, the second is being embedded
    instance.report_run_canceling(instance.get_run_by_id(first))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert instance.get_run_by_id(first).status is dg.DagsterRunStatus.CANCELED
    cancelled, points, recorded = state(folder)
    assert cancelled is RunState.CANCELLED
    assert points == recorded
    assert 0 < points < DOCUMENTS
    assert sum(batches(folder)) > points

    second = dg.DagsterRun(job_name="ingest_archive").run_id
    assert start(second).wait(timeout=60) == 0
    assert instance.get_run_by_id(second).status is dg.DagsterRunStatus.SUCCESS
    assert state(folder) == (RunState.DONE, DOCUMENTS, DOCUMENTS)
    assert sum(batches(folder)) == DOCUMENTS  # the batch that was embedded last was not lost
