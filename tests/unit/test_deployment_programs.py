"""The programs that docker-compose.yml names: health checks, and what runs the code server."""

import http.server
import importlib.util
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test

ROOT = Path(__file__).parents[2]
DEPLOYMENT = ROOT / "deployment"


def program(name):
    """Returns a program of the image as a module."""
    if str(DEPLOYMENT) not in sys.path:
        sys.path.append(str(DEPLOYMENT))  # as Python does when it runs one
    spec = importlib.util.spec_from_file_location(name, DEPLOYMENT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def served(status):
    """Starts a server that answers each request with a status, in the place of Qdrant."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def is_ready(port):
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    _, *words = services["qdrant"]["healthcheck"]["test"]
    command = [word.replace("$$", "$").replace("6333", str(port)) for word in words]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=20, check=False).returncode == 0


def test_qdrant_is_healthy_once_it_says_that_it_is_ready():
    for status, ready in ((200, True), (503, False)):
        server = served(status)
        assert is_ready(server.server_port) is ready
        server.shutdown()
        server.server_close()
    assert not is_ready(server.server_port)  # nobody listens there now


def test_nobody_serves_where_nobody_listens(monkeypatch, unused_port):
    health = program("health")
    monkeypatch.setenv("CODE_SERVER_PORT", unused_port)
    monkeypatch.setenv("DAGSTER_WEBSERVER_PORT", unused_port)
    assert not health.webserver_serves()
    assert not health.code_serves()


@pytest.fixture
def unused_port():
    server = served(200)
    server.server_close()
    return str(server.server_port)


def watched(answers):
    """Watches a process that does not end by itself; returns its status and the answers that were not asked for."""
    left = iter(answers)
    with subprocess.Popen(["sleep", "60"]) as server:

        def serves():
            answer = next(left)
            if answer is None:
                server.terminate()
            return bool(answer)

        status = program("code_server").watch(server, serves, every=0.01)
    return status, list(left)


def test_a_server_that_stopped_to_serve_is_ended_and_a_busy_one_is_not():
    assert watched([True, False, False, False, True, False, False, False, False, True]) == (-9, [True])
    assert watched([True, False, False, None]) == (-15, [])
    assert watched([*[False] * 20, None])[0] == -15, "it was still loading the code"


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def launched(instance, status, port=4000):
    tags = {GRPC_INFO_TAG: f'{{"host": "code", "port": {port}}}'} if port else {}
    return create_run_for_test(instance, "job", status=status, tags=tags).run_id


def test_runs_that_a_server_left_behind_end_and_no_others(instance):
    runs, status = program("left_runs"), dg.DagsterRunStatus
    left = {launched(instance, each) for each in (status.STARTING, status.STARTED, status.CANCELING)}
    others = {
        launched(instance, each, port): each
        for each, port in ((status.SUCCESS, 4000), (status.STARTED, 4001), (status.NOT_STARTED, None))
    }
    assert set(runs.left_behind(instance, "code", 4000)) == left
    runs.settle(instance, [*left])
    ends = sorted(instance.get_run_by_id(run_id).status.value for run_id in left)
    assert ends == ["CANCELED", "FAILURE", "FAILURE"]
    assert {run_id: instance.get_run_by_id(run_id).status for run_id in others} == others


def test_a_run_that_ended_meanwhile_is_left_alone(instance):
    runs = program("left_runs")
    run_id = launched(instance, dg.DagsterRunStatus.STARTED)
    instance.report_run_canceled(instance.get_run_by_id(run_id))
    runs.settle(instance, [run_id])
    assert instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.CANCELED


def test_ends_are_reported_when_the_daemon_can_launch_again():
    runs, slept = program("left_runs"), []
    runs.await_server(partial(next, iter([False, False, True])), slept.append)
    assert slept == [1, 1, runs.SETTLING]
