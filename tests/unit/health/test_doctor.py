"""`pipelines doctor`: what it says of each dependency, and what it said before."""

import json

import pytest
from typer.testing import CliRunner

from pipelines_persistence.cli import app

CONFIG = """
indexes:
  notes:
    sources: [{name: docs, uri: docs}, {name: gone, uri: nowhere}]
    embedding: {backend: hash}
health: {deadline: 5, free_space: %d}
"""


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """Return a function that calls the doctor and returns his report, of a platform with one index."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Title\n\nSome text.")
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINES_CONFIG", str(tmp_path / "pipelines.yaml"))
    for name in ("DATABASE_URL", "REDIS_URL", "QDRANT_URL"):
        monkeypatch.delenv(f"PIPELINES_{name}", raising=False)

    def call(*arguments, free_space=0, code=None):
        (tmp_path / "pipelines.yaml").write_text(CONFIG % free_space)
        result = CliRunner().invoke(app, ["doctor", *arguments, "--json"])
        assert code is None or result.exit_code == code, result.output
        return json.loads(result.output.splitlines()[-1])

    return call


def by_name(report):
    return {check["name"]: check for check in report["checks"]}


def test_each_dependency_is_looked_at_and_one_that_is_gone_makes_the_doctor_fail(doctor):
    checks = by_name(doctor(code=1))
    assert {name: checks[name]["status"] for name in ("home", "ledger", "events", "vector store")} == {
        "home": "ok",
        "ledger": "ok",
        "events": "ok",
        "vector store": "ok",
    }
    assert checks["embedder hash"]["measures"]["dimension"] > 0
    assert checks["source notes/docs"]["status"] == "ok"
    assert checks["source notes/gone"]["status"] == "failed"
    assert (checks["cache"]["status"], checks["streams"]["status"]) == ("absent", "absent")
    assert checks["events"]["measures"]["fence_lag"] == 0
    assert checks["events"]["version"].startswith("sqlite 3")


def test_a_threshold_that_is_passed_degrades_and_does_not_fail(doctor):
    home = by_name(doctor(free_space=2**62))["home"]
    assert home["status"] == "degraded"
    assert "and at least" in home["detail"]


def test_a_database_that_is_away_is_told_with_its_circuit_and_without_its_password(doctor, monkeypatch):
    monkeypatch.setenv("PIPELINES_DATABASE_URL", "postgresql://user:hush-hush@127.0.0.1:1/none")
    report = doctor(code=1)
    checks = by_name(report)
    assert checks["events"]["status"] == "failed"
    assert "4 failed, 3 repeated" in checks["circuit database"]["detail"]
    assert checks["ledger"]["status"] == "ok"
    assert "hush-hush" not in json.dumps(report)


def test_what_was_seen_is_kept_and_shown_the_newest_first(doctor, monkeypatch):
    doctor()
    monkeypatch.setenv("PIPELINES_DATABASE_URL", "postgresql://user:hush-hush@127.0.0.1:1/none")
    doctor()
    seen = doctor("--history", "5", code=0)["history"]
    assert [one["status"] for one in seen if one["name"] == "events"] == ["failed", "ok"]
    assert [one["status"] for one in seen if one["name"] == "home"] == ["ok", "ok"]
    assert not [one for one in seen if one["name"] == "cache"]  # not configured is no observation
    assert len([one for one in doctor("--history", "1")["history"] if one["name"] == "home"]) == 1


def test_a_home_that_cannot_be_read_back_from_is_told_and_nothing_raises(doctor, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "ledger.sqlite").write_bytes(b"no database" * 100)
    checks = by_name(doctor(code=1))
    assert checks["ledger"]["status"] == "failed"
    assert checks["events"]["status"] == "ok"
