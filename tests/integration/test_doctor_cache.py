"""What the doctor says of the shared cache: whether it works as a cache, which is more than to answer, and less than to be asked all."""

import json

import pytest
from typer.testing import CliRunner

from pipelines_persistence.cli import app
from tests.redis_server import faulty_redis


@pytest.fixture
def server(tmp_path):
    with faulty_redis(tmp_path) as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return a function that asks the doctor about the cache of a configuration."""
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINES_CONFIG", str(tmp_path / "pipelines.yaml"))
    for name in ("DATABASE_URL", "QDRANT_URL"):
        monkeypatch.delenv(f"PIPELINES_{name}", raising=False)

    def ask(url="", configuration="{}"):
        (tmp_path / "pipelines.yaml").write_text(f"cache: {configuration}\nevents: {{}}\n")
        monkeypatch.setenv("PIPELINES_REDIS_URL", url)
        result = CliRunner().invoke(app, ["doctor", "--json"])
        assert "s3cret" not in result.output
        report = json.loads(result.output.splitlines()[-1])
        return next(check for check in report["checks"] if check["name"] == "cache")

    return ask


def test_a_server_that_serves_is_well_and_its_latency_is_that_of_a_read(cache, server):
    found = cache(server.url)
    assert (found["status"], found["latency"] > 0, found["measures"]["keys"]) == ("ok", True, 0)
    assert [*server.admin.scan_iter("pipelines:v:*")] == []  # it leaves nothing behind


def test_what_is_not_used_is_not_looked_at(cache):
    assert cache("redis://127.0.0.1:1/0", "{backend: memory}")["status"] == "absent"
    assert cache("")["status"] == "absent"


def test_a_backend_without_its_server_fails(cache):
    found = cache("", "{backend: redis}")
    assert (found["status"], "PIPELINES_REDIS_URL is not set" in found["detail"]) == ("failed", True)
    assert found["latency"] is None


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("min-replicas-to-write", "3", "NOREPLICAS"), ("maxmemory", "1", "OOM")],
)
def test_a_server_that_takes_no_value_fails_with_its_reason(cache, server, option, value, reason):
    server.admin.config_set(option, value)
    found = cache(server.url)
    assert (found["status"], reason in found["detail"]) == ("failed", True)


def test_a_server_that_only_repeats_another_fails_with_its_reason(cache, server):
    server.admin.replicaof("127.0.0.1", 1)
    found = cache(server.url)
    assert (found["status"], "READONLY" in found["detail"]) == ("failed", True)


def test_a_user_who_may_cache_and_not_ask_is_well(cache, server):
    server.admin.execute_command(
        *[
            "ACL",
            "SETUSER",
            "few",
            "on",
            ">pw",
            "~pipelines:*",
            "&*",
            "+@all",
            "-info",
            "-dbsize",
            "-keys",
            "-flushdb",
            "-flushall",
        ]
    )
    found = cache(server.url.replace(":s3cret@", "few:pw@"))
    assert (found["status"], "may not ask" in found["detail"]) == ("ok", True)


def test_a_user_who_may_not_reach_the_keys_fails_with_the_reason(cache, server):
    server.admin.execute_command(*["ACL", "SETUSER", "none", "on", ">pw", "~other:*", "&*", "+@all"])
    found = cache(server.url.replace(":s3cret@", "none:pw@"))
    assert (found["status"], "No permissions" in found["detail"] or "NOPERM" in found["detail"]) == (
        "failed",
        True,
    )


def test_a_parameter_of_the_url_that_nobody_knows_is_a_mistake_that_is_named(cache, server):
    found = cache(f"{server.url}?frobnicate=1")
    assert (found["status"], "PIPELINES_REDIS_URL has a parameter" in found["detail"]) == ("failed", True)


def test_a_configuration_that_cannot_be_read_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINES_CONFIG", str(tmp_path / "pipelines.yaml"))
    (tmp_path / "pipelines.yaml").write_text("health: {deadlines: 4}\n")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    checks = json.loads(result.output.splitlines()[-1])["checks"]
    assert (result.exit_code, [check["name"] for check in checks if check["status"] == "failed"]) == (
        1,
        ["configuration"],
    )
