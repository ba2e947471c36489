"""What the server says when it refuses or fails, as errors of ours."""

import os
import subprocess
import sys

import pytest

from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.errors import (
    IndexNotFound,
    StorageError,
    StoreError,
    StoreUnavailable,
    TransientError,
)
from tests.unit.qdrant_server.conftest import some_points
from tests.wire_double import Fault

KEY = "a-very-secret-key"


@pytest.mark.parametrize(
    ("status", "details", "kind", "words"),
    [
        ("UNAVAILABLE", "going down", StoreUnavailable, "does not answer.*PIPELINES_QDRANT_URL"),
        ("ABORTED", "", StoreUnavailable, "does not answer"),
        ("CANCELLED", "", StoreUnavailable, "does not answer"),
        ("DEADLINE_EXCEEDED", "slow", StoreUnavailable, "in time.*qdrant.timeout"),
        ("RESOURCE_EXHAUSTED", "too many", StoreUnavailable, "limits the rate"),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 4)", StoreError, "qdrant.batch"),
        ("OUT_OF_RANGE", "decoded message length too large", StoreError, "qdrant.batch"),
        ("UNAUTHENTICATED", "no key", StoreError, "key.*PIPELINES_QDRANT_API_KEY"),
        ("PERMISSION_DENIED", "read only", StoreError, "key.*PIPELINES_QDRANT_API_KEY"),
        ("NOT_FOUND", "Collection `docs` doesn't exist!", IndexNotFound, "pipelines ingest"),
        ("INVALID_ARGUMENT", "Wrong input", StoreError, "Wrong input"),
        ("FAILED_PRECONDITION", "strict mode", StoreError, "strict mode"),
        ("UNIMPLEMENTED", "", StoreError, "1.16"),
        ("INTERNAL", "No space left on device (os error 28)", StorageError, "disk.*full.*free space"),
        ("UNKNOWN", "WAL: Not enough disk space", StorageError, "disk.*full"),
        ("INTERNAL", "replica set has no active replica", StoreUnavailable, "does not answer"),
        ("INTERNAL", "Timeout error", StoreUnavailable, "does not answer"),
        ("INTERNAL", "panicked", StoreError, "log"),
    ],
)
def test_each_status_says_whether_to_try_again_and_what_to_do(  # noqa: PLR0917 - fixtures and parameters
    double, filled, status, details, kind, words
):
    double.faults.plan(Fault("Points/Count", status=status, details=details))
    with pytest.raises(kind, match=words) as failed:
        filled.count("docs")
    assert isinstance(failed.value, TransientError) == (kind is StoreUnavailable)
    assert str(failed.value).startswith("counting in 'docs': ") or kind is IndexNotFound
    assert failed.value.__cause__ is not None


@pytest.mark.parametrize(("seconds", "expected"), [(7, 7.0), (0.5, 0.5), (None, None)])
def test_a_limit_of_the_rate_says_when_to_come_back(double, filled, seconds, expected):
    double.faults.plan(Fault("Points/Count", status="RESOURCE_EXHAUSTED", retry_after=seconds))
    with pytest.raises(StoreUnavailable) as limited:
        filled.count("docs")
    assert limited.value.retry_after == expected


def test_nothing_is_repeated_that_the_server_answered(double, filled):
    double.faults.plan(Fault("Points/", status="UNAVAILABLE"))
    double.faults.forget_calls()
    with pytest.raises(StoreUnavailable):
        filled.upsert("docs", some_points(1))
    assert double.faults.calls["Points/Upsert"] == 1


def test_a_write_that_is_acknowledged_and_not_finished_is_no_success(double, filled):
    double.faults.plan(Fault("Points/Upsert", ignored=True))
    with pytest.raises(StoreUnavailable, match="did not finish"):
        filled.upsert("docs", some_points(1))


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        (
            (
                "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: "
                "connect: Connection refused (111)"
            ),
            "connection refused",
        ),
        (
            (
                "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:7334: Tls handshake failed "
                "(TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER"
            ),
            "it speaks no TLS: with http:// instead of https://, perhaps",
        ),
        ("DNS resolution failed for db:6334: C-ares status is not ARES_SUCCESS", "its name is not known"),
        ("failed; last error: UNKNOWN: ipv6:[::1]:7: something new", "something new"),
        ("", "no details"),
        ("x" * 500, "x" * 160 + " ..."),
    ],
)
def test_the_cause_is_told_in_a_few_words(double, filled, details, shown):
    double.faults.plan(Fault("Points/Count", status="ABORTED", details=details))
    with pytest.raises(StoreUnavailable) as failed:
        filled.count("docs")
    assert f"(ABORTED: {shown}): see" in str(failed.value)
    assert failed.value.__cause__.details() == details


ENCRYPTED = """
import sys
from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.errors import StoreUnavailable
try:
    QdrantServerStore(sys.argv[1], timeout=5).count("docs", {"a": "b"})
except StoreUnavailable as error:
    print(error)
"""


def test_a_server_that_speaks_no_tls_is_told_in_our_words_alone(double):
    url = double.url.replace("http:", "https:")
    command = [sys.executable, "-c", ENCRYPTED, url]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GRPC_")}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "speaks no TLS" in run.stdout
    assert run.stderr == ""


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_key_that_is_refused_is_not_shown(double, key):
    double.api_key = KEY
    double.stop()
    double.start()
    with pytest.raises(StoreError, match="PIPELINES_QDRANT_API_KEY") as refused:
        QdrantServerStore(double.url, key).collections()
    assert KEY not in str(refused.value)
    store = QdrantServerStore(double.url, KEY)
    assert store.collections() == []
    assert KEY not in repr(store)
    store.close()
    double.stop()
    with pytest.raises(StoreUnavailable) as gone:
        store.collections()
    assert KEY not in f"{gone.value}{gone.value.__cause__}"
