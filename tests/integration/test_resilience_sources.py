"""What goes wrong with sources of documents and events, and with an embedder that is a service; and what guards do about it."""

import os
import signal
import time
import uuid

import fsspec
import pytest
import redis
from fsspec.implementations.memory import MemoryFileSystem

from pipelines_persistence.adapters.embedding import create_embedder
from pipelines_persistence.adapters.redis_streams import redis_streams
from pipelines_persistence.adapters.sources import open_source, remote
from pipelines_persistence.configuration import (
    BreakerConfig,
    DependencyConfig,
    EmbeddingConfig,
    RetryConfig,
    SourceConfig,
)
from pipelines_persistence.errors import (
    CircuitOpen,
    ConfigurationError,
    DocumentError,
    EmbedderUnavailable,
    EmbeddingError,
    SourceUnavailable,
)
from pipelines_persistence.ingestion.vectors import embed
from pipelines_persistence.resilience import CircuitState, Guard
from tests.tcp_proxy import tcp_proxy


def guard_of(attempts=4, sleep=lambda _seconds: None, name="sources:docs", **breaker):
    config = DependencyConfig(
        retry=RetryConfig(attempts=attempts), breaker=BreakerConfig(**{"minimum": 1000, **breaker})
    )
    return Guard(name, config, sleep=sleep)


class FaultyFileSystem(MemoryFileSystem):
    """A bucket in memory that fails as it is told to."""

    protocol = "faulty"
    store: dict = {}  # noqa: RUF012 - as the base class has it
    faults: list = []  # noqa: RUF012 - shared by all instances, as the store is

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("faulty://", "memory://", 1))

    def _maybe_fail(self):
        if self.faults:
            raise self.faults.pop(0)

    def ls(self, path, detail=True, **options):  # noqa: FBT002 - the base class's signature
        self._maybe_fail()
        return super().ls(path, detail, **options)

    def _open(self, path, mode="rb", **options):
        if mode == "rb":
            self._maybe_fail()
        return super()._open(path, mode, **options)


fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)


@pytest.fixture
def bucket():
    filesystem = FaultyFileSystem(skip_instance_cache=True)
    FaultyFileSystem.faults.clear()
    root = f"/{uuid.uuid4().hex}"
    for name in ("a.md", "b.md", "deep/c.md"):
        filesystem.pipe(f"{root}/{name}", f"# {name}".encode())
    yield f"faulty:/{root}"
    FaultyFileSystem.faults.clear()


def source_of(bucket, guard, tmp_path):
    return open_source(SourceConfig(name="docs", uri=bucket), tmp_path, guard=guard)


def fail(*errors):
    FaultyFileSystem.faults.extend(errors)


def test_a_listing_that_fails_for_a_while_is_repeated_and_whole(bucket, tmp_path):
    guard = guard_of()
    source = source_of(bucket, guard, tmp_path)
    fail(ConnectionError("reset"), TimeoutError("slow"))
    assert [entry.path for entry in source.entries()] == ["a.md", "b.md", "deep/c.md"]
    assert (guard.state().calls, guard.state().retries) == (3, 2)


def test_a_listing_that_goes_on_failing_is_never_passed_off_as_whole(bucket, tmp_path):
    guard = guard_of()
    source = source_of(bucket, guard, tmp_path)
    fail(*[ConnectionError("reset")] * 10)
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        list(source.entries())
    assert guard.state().calls == 4


def test_a_read_that_fails_for_a_while_is_repeated(bucket, tmp_path):
    source = source_of(bucket, guard_of(), tmp_path)
    [entry, *_] = source.entries()
    fail(ConnectionError("reset"))
    assert source.read(entry, 1000) == b"# a.md"


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), PermissionError("denied")])
def test_a_document_that_is_gone_or_denied_is_that_documents_affair(bucket, tmp_path, error):
    guard = guard_of()
    source = source_of(bucket, guard, tmp_path)
    [entry, *_] = source.entries()
    fail(error)
    with pytest.raises(DocumentError):
        source.read(entry, 1000)
    assert guard.state().failures == 0


def test_a_root_that_is_denied_is_not_asked_for_again_and_again(bucket, tmp_path):
    guard = guard_of()
    fail(*[PermissionError("denied")] * 10)
    with pytest.raises(SourceUnavailable):
        list(source_of(bucket, guard, tmp_path).entries())
    assert guard.state().calls == 1


def test_a_source_that_fails_too_often_is_left_alone_and_another_is_not(bucket, tmp_path):
    guard = guard_of(minimum=3)
    broken = source_of(bucket, guard, tmp_path)
    fail(*[ConnectionError("reset")] * 3)
    with pytest.raises(SourceUnavailable):
        list(broken.entries())
    with pytest.raises(CircuitOpen):
        list(broken.entries())
    assert len(list(source_of(bucket, guard_of(name="sources:other"), tmp_path).entries())) == 3


def test_the_clients_of_buckets_have_a_deadline_and_leave_repetitions_to_the_guard():
    bounds = remote._limits("s3", 60.0)["config_kwargs"]
    assert bounds == {"connect_timeout": 10.0, "read_timeout": 60.0, "retries": {"max_attempts": 0}}
    assert remote._limits("gs", 60.0) == {"requests_timeout": 60.0}
    assert remote._limits("memory", 60.0) == {}
    assert remote._limits("s3", None) == {}


# Redis Streams


@pytest.fixture
def wire(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        options = client.connection_pool.connection_kwargs
        with tcp_proxy(options["host"], options["port"]) as proxy:
            key = uuid.uuid4().hex
            client.xadd(key, {"type": "A"})
            client.xadd(key, {"type": "B"})
            yield proxy, key, redis_url.replace(f":{options['port']}/", f":{proxy.port}/")


def read(wire, guard, timeout=5.0):
    _, key, url = wire
    with redis_streams(url, [key], guard=guard, timeout=timeout) as [stream]:
        return [entry.fields[b"type"] for entry in stream.page("0-0", 10).entries]


def test_redis_that_is_down_is_tried_as_often_as_configured_and_no_oftener(wire):
    guard = guard_of(name="streams")
    wire[0].refuse()
    with pytest.raises(SourceUnavailable, match="try again") as caught:
        read(wire, guard)
    assert (guard.state().calls, wire[0].connections) == (4, 4)  # the driver repeats nothing by itself
    assert "s3cret" not in str(caught.value)


def test_redis_that_comes_back_meanwhile_is_read(wire):
    wire[0].refuse()
    assert read(wire, guard_of(sleep=lambda _seconds: wire[0].resume())) == [b"A", b"B"]


def test_redis_that_drops_a_connection_is_read_all_the_same(wire):
    proxy, key, url = wire
    with redis_streams(url, [key], guard=guard_of()) as [stream]:
        first = stream.page("0-0", 1)
        proxy.drop()
        rest = stream.page(first.entries[-1].id, 10)
    assert [entry.fields[b"type"] for entry in [*first.entries, *rest.entries]] == [b"A", b"B"]


def test_redis_that_hangs_is_given_up_in_time(wire):
    wire[0].hang()
    with pytest.raises(SourceUnavailable, match=r"[Tt]imeout"):
        read(wire, guard_of(attempts=1), timeout=0.2)


def test_redis_that_is_stopped_is_given_up_in_time_and_read_when_it_goes_on(start_redis):
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        client.xadd("s", {"type": "A"})
    guard = guard_of(name="streams", attempts=2, sleep=lambda _: os.kill(server.process.pid, signal.SIGCONT))
    with redis_streams(server.url, ["s"], guard=guard, timeout=0.3) as [stream]:
        os.kill(server.process.pid, signal.SIGSTOP)
        assert len(stream.page("0-0", 10).entries) == 1
    assert guard.state().failures == 1


def test_redis_that_refuses_the_password_is_a_mistake_to_mend(wire):
    _, key, url = wire
    guard = guard_of()
    with (
        redis_streams(url.replace("s3cret", "wrong"), [key], guard=guard) as [stream],
        pytest.raises(ConfigurationError, match="refuses"),
    ):
        stream.page("0-0", 10)
    assert (guard.state().calls, guard.state().failures) == (1, 0)


def test_a_circuit_over_redis_opens_and_closes_again(wire):
    guard = guard_of(minimum=3, seconds=0.1, name="streams")
    wire[0].refuse()
    with pytest.raises(SourceUnavailable):
        read(wire, guard)
    with pytest.raises(CircuitOpen):
        read(wire, guard)
    assert wire[0].connections == 3
    wire[0].resume()
    time.sleep(0.15)
    assert read(wire, guard) == [b"A", b"B"]
    assert guard.state().state is CircuitState.CLOSED


# An embedder of one's own

SERVICE = """
faults = []
calls = 0

def embed(texts):
    global calls
    calls += 1
    if faults:
        raise faults.pop(0)
    return [[1.0, float(len(text))] for text in texts]
"""


@pytest.fixture
def service(tmp_path, monkeypatch):
    name = f"service_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(SERVICE)
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__(name)
    module.dimension = 2
    return module


def embedder_of(service, guard):
    embedder = create_embedder(EmbeddingConfig(backend=f"{service.__name__}:embed"), guard)
    assert embedder.dimension == 2
    service.calls = 0
    return embedder


@pytest.mark.parametrize("error", [TimeoutError("slow"), ConnectionResetError("reset")])
def test_a_service_that_does_not_answer_for_a_while_is_asked_again(service, error):
    embedder = embedder_of(service, guard_of(name="embedder"))
    service.faults += [error, error]
    assert embed(embedder, ["text"]).tolist() == [[1.0, 4.0]]
    assert service.calls == 3


def test_a_service_that_is_down_blames_no_document(service):
    embedder = embedder_of(service, guard_of(name="embedder"))
    service.faults += [TimeoutError("slow")] * 10
    with pytest.raises(EmbedderUnavailable, match="does not answer"):
        embed(embedder, ["text", "other"])
    assert service.calls == 4


def test_the_wait_that_a_service_asks_for_is_kept(service):
    waits = []
    embedder = embedder_of(service, guard_of(name="embedder", sleep=waits.append))
    service.faults += [EmbedderUnavailable("too many requests", retry_after=9.0)]
    embed(embedder, ["text"])
    assert waits[0] >= 9.0


def test_what_a_service_refuses_is_not_asked_again(service):
    embedder = embedder_of(service, guard_of(name="embedder"))
    service.faults += [ValueError("bad text")]
    with pytest.raises(EmbeddingError):
        embed(embedder, ["text"])
    assert service.calls == 1
