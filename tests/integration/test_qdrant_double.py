"""The wire double as a program: faults from another process, a key, kill -9, and a fleet that creates one collection."""

import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.errors import StoreError, StoreUnavailable
from tests.unit.qdrant_server.conftest import SPEC, some_points
from tests.wire_double import control

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(state, port=0, **environment):
    key = ["--api-key-env", "DOUBLE_KEY"] if environment else []
    command = [sys.executable, "-m", "tests.wire_double", "--port", str(port), "--state", str(state), *key]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, int(process.stdout.readline().rsplit(":", 1)[1])
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in {0, -signal.SIGKILL}


def test_points_survive_kill_9_of_the_server_and_the_store_finds_it_again(tmp_path):
    with (
        serving(tmp_path) as (process, port),
        closing(QdrantServerStore(f"http://127.0.0.1:{port}")) as store,
    ):
        store.create("docs", SPEC)
        store.upsert("docs", some_points(50))
        process.kill()
        process.wait()
        with pytest.raises(StoreUnavailable):
            store.count("docs")
        with serving(tmp_path, port):
            assert store.count("docs") == 50
            assert len(list(store.scroll("docs", vectors=True))) == 50


def test_faults_are_planned_from_another_process(tmp_path):
    with serving(tmp_path) as (_, port), closing(QdrantServerStore(f"http://127.0.0.1:{port}")) as store:
        store.create("docs", SPEC)
        control(port, plan=[{"method": "Points/Count", "status": "UNAVAILABLE", "calls": 1}])
        with pytest.raises(StoreUnavailable, match="injected"):
            store.count("docs")
        assert store.count("docs") == 0
        assert control(port, lift=True)["Points/Count"] == 2


def test_the_program_asks_for_a_key_and_answers_health_checks_without_one(tmp_path):
    with serving(tmp_path, DOUBLE_KEY="sesame") as (_, port):
        url = f"http://127.0.0.1:{port}"
        with closing(QdrantServerStore(url)) as nobody, pytest.raises(StoreError, match="QDRANT_API_KEY"):
            nobody.collections()
        with closing(QdrantServerStore(url, "sesame")) as somebody:
            assert somebody.collections() == []
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


CREATE = """
import sys
from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from tests.unit.qdrant_server.conftest import SPEC, some_points
store = QdrantServerStore(f"http://127.0.0.1:{sys.argv[1]}")
store.version()
print("ready", flush=True)
sys.stdin.readline()
store.create("docs", SPEC)
store.upsert("docs", some_points(20))
"""


def test_processes_that_create_and_fill_one_collection_at_once_all_succeed(tmp_path):
    with serving(tmp_path) as (_, port):
        fleet = [
            subprocess.Popen(
                [sys.executable, "-c", CREATE, str(port)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for process in fleet:
            process.stdout.readline()
        for process in fleet:
            process.communicate("go\n")
        assert [process.returncode for process in fleet] == [0, 0, 0]
        with closing(QdrantServerStore(f"http://127.0.0.1:{port}")) as store:
            assert store.count("docs") == 20
