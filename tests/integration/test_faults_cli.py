"""What a person at a terminal sees when a server is down, hangs or refuses: a fresh process for each command."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.wire_double import WireDouble

PIPELINES = Path(sys.executable).with_name("pipelines")
BOUND = 30
"""Seconds: half of what a call may take by default, so that only the configured deadlines can keep it."""
SECRET = "hush-hush"

CONFIG = """
indexes:
  docs:
    sources: [{name: docs, uri: docs}]
    embedding: {backend: hash}
events: {redis: {streams: [orders]}}
qdrant: {timeout: 0.5}
cache: {timeout: 0.1}
health: {deadline: 4, latency: 0.5}
resilience:
  vector_store: {retry: {attempts: 2, wait: 0.01}}
  database: {retry: {attempts: 1}, connect_timeout: 2, timeout: 0.5}
  streams: {retry: {attempts: 2, wait: 0.01}, timeout: 0.5}
"""

VARIABLES = {
    "vector_store": ("PIPELINES_QDRANT_URL", "http://127.0.0.1:{port}"),
    "database": ("PIPELINES_DATABASE_URL", "postgresql://somebody:hush-hush@127.0.0.1:{port}/events"),
    "cache": ("PIPELINES_REDIS_URL", "redis://:hush-hush@127.0.0.1:{port}/0"),
    "streams": ("REDIS_URL", "redis://:hush-hush@127.0.0.1:{port}/0"),
}


class Desk:
    """A folder of documents, a home, and the command line."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "docs").mkdir()
        for name in ("valve", "pump", "gauge"):
            (folder / "docs" / f"{name}.md").write_text(f"# The {name}\n\nThe {name} is cleaned on Mondays.")
        (folder / "pipelines.yaml").write_text(CONFIG)
        own = ("PIPELINES_", "REDIS_URL")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(own)}
        self.env |= {"PIPELINES_HOME": str(folder / "home"), "COLUMNS": "400"}

    def start(self, *arguments, **env):
        return subprocess.Popen(
            [str(PIPELINES), *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, **env):
        return ended(self.start(*arguments, **env))

    def hits(self, **env):
        """Search, which must succeed, and return the documents."""
        code, output, errors = self.run("search", "which valve is cleaned?", "--json", **env)
        assert code == 0, errors
        return {hit["document"] for hit in json.loads(output.splitlines()[-1])["hits"]}


def ended(process):
    """Wait for a process, not for ever, and return its code, its output and its errors; no secret is among them."""
    with process:
        try:
            output, errors = process.communicate(timeout=BOUND)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    for secret in (SECRET, "s3cret"):
        assert secret not in output + errors
    assert "Traceback" not in output + errors
    return process.returncode, output, errors


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def nowhere():
    """Return a port that is taken, and that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def silent():
    """Return a port at which the kernel accepts connections, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def refusing(postgres, redis_url):
    """Return the variables by which each dependency is there, and refuses the log-in."""
    server = sa.make_url(postgres).set(username="nobody", password=SECRET)
    redis_wrong = redis_url.replace("s3cret", SECRET)
    with WireDouble(api_key="right") as double:
        yield {
            "PIPELINES_QDRANT_URL": double.url,
            "PIPELINES_QDRANT_API_KEY": SECRET,
            "PIPELINES_DATABASE_URL": server.render_as_string(hide_password=False),
            "PIPELINES_REDIS_URL": redis_wrong,
            "REDIS_URL": redis_wrong,
        }


def at(port, *dependencies):
    return {
        name: url.format(port=port)
        for name, url in (VARIABLES[dependency] for dependency in dependencies or VARIABLES)
    }


COMMANDS = [
    (["ingest"], "vector_store"),
    (["search", "which valve?"], "vector_store"),
    (["ingest"], "database"),
    (["project"], "database"),
]


def outcomes(desk, env_of):
    """Run the commands beside one another, each with one dependency that fails; return their codes and errors."""
    with ExitStack() as stack:
        started = []
        for place, (arguments, dependency) in enumerate(COMMANDS):
            env = {"PIPELINES_HOME": str(desk.folder / f"home{place}"), **env_of(dependency)}
            started.append(stack.enter_context(desk.start(*arguments, "--json", **env)))
        for process in started:
            code, output, errors = ended(process)
            told = json.loads(output.splitlines()[-1])["error"]
            assert told["message"].split()[0] in errors  # people see what programs read
            yield code, told["type"], told["message"]


@pytest.mark.parametrize("place", ["nowhere", "silent"])
def test_a_server_that_is_away_or_hangs_is_named_with_what_to_do(desk, request, place):
    port = request.getfixturevalue(place)
    for (arguments, dependency), (code, kind, message) in zip(
        COMMANDS, outcomes(desk, lambda dependency: at(port, dependency)), strict=True
    ):
        assert code == 1, (arguments, message)
        assert kind == {"vector_store": "StoreUnavailable", "database": "DatabaseUnavailable"}[dependency]
        assert f"127.0.0.1:{port}" in message
        remedies = {"nowhere": VARIABLES[dependency][0], "silent": "qdrant.timeout|PIPELINES_DATABASE_URL"}
        assert any(remedy in message for remedy in remedies[place].split("|"))


def test_a_server_that_refuses_the_credentials_is_named_with_what_to_change(desk, refusing):
    def env_of(dependency):
        names = {"vector_store": "PIPELINES_QDRANT", "database": "PIPELINES_DATABASE"}
        return {key: value for key, value in refusing.items() if key.startswith(names[dependency])}

    found = list(outcomes(desk, env_of))
    assert [(code, kind) for code, kind, _ in found] == [
        (1, "StoreError"),
        (1, "StoreError"),
        (2, "ConfigurationError"),
        (2, "ConfigurationError"),
    ]
    assert ["PIPELINES_QDRANT_API_KEY" in message for _, _, message in found] == [True, True, False, False]
    assert ["check user, password and name" in message for _, _, message in found] == [
        False,
        False,
        True,
        True,
    ]


def failed(desk, **env):
    """Ask the doctor, who must find something, and return what has failed, by name."""
    code, output, _ = desk.run("doctor", "--json", **env)
    report = json.loads(output.splitlines()[-1])
    assert (code, report["healthy"]) == (1, False)
    return {check["name"]: check["detail"] for check in report["checks"] if check["status"] == "failed"}


@pytest.mark.parametrize("place", ["nowhere", "silent"])
def test_the_doctor_ends_and_names_each_server_that_is_away(desk, request, place):
    details = failed(desk, **at(request.getfixturevalue(place)))
    assert set(details) == {"events", "vector store", "cache", "streams"}
    assert "PIPELINES_REDIS_URL" in details["cache"]
    assert "and REDIS_URL" in details["streams"]


def test_the_doctor_names_each_server_that_refuses_him(desk, refusing):
    details = failed(desk, **refusing)
    assert set(details) == {"events", "vector store", "cache", "streams"}
    assert "refuses the log-in" in details["events"]
    assert "refuses the key" in details["vector store"]
    assert details["cache"].startswith("Redis refuses")
    assert "PIPELINES_REDIS_URL" in details["cache"]


@pytest.mark.parametrize("place", ["nowhere", "silent", "refusing"])
def test_without_the_shared_cache_everything_else_goes_on(desk, request, place):
    found = request.getfixturevalue(place)
    url = found["PIPELINES_REDIS_URL"] if place == "refusing" else at(found)["PIPELINES_REDIS_URL"]
    code, output, errors = desk.run("ingest", "--json", PIPELINES_REDIS_URL=url)
    assert (code, json.loads(output.splitlines()[-1])["embedded"]) == (0, 3), errors
    code, output, errors = desk.run("search", "which valve is cleaned?", "--json", PIPELINES_REDIS_URL=url)
    assert (code, len(json.loads(output.splitlines()[-1])["hits"])) == (0, 3), errors
    assert errors.count("the shared cache at") == errors.count("each process caches for itself") == 1


def test_what_failed_for_want_of_a_server_goes_well_when_it_is_back(desk, nowhere, redis_url, postgres_url):
    assert desk.run("ingest", **at(nowhere))[0] == 1
    with WireDouble() as double:
        env = {
            "PIPELINES_QDRANT_URL": double.url,
            "PIPELINES_DATABASE_URL": postgres_url,
            "PIPELINES_REDIS_URL": redis_url,
        }
        assert desk.run("ingest", **env, **at(nowhere, "streams"))[0] == 0
        assert desk.hits(**env) == {"valve.md", "pump.md", "gauge.md"}
        # While the store is away: what was asked since the last run is answered, and all that needs no store goes on.
        double.stop()
        assert desk.hits(**env) == {"valve.md", "pump.md", "gauge.md"}
        assert desk.run("project", **env)[0] == 0
        code, output, _ = desk.run("status", "--json", **env)
        [index] = json.loads(output.splitlines()[-1])["indexes"]
        assert (code, index["documents"], index["points"]) == (0, 3, None)
