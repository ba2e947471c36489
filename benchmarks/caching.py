"""The cache: its hits against a bare cachebox and a bare `redis` GET, and side by side with cashews and dogpile.cache.

Values are 300 bytes. dogpile keeps the object itself in memory and pickles for Redis; cashews is asynchronous, so its turns
run in one event loop, and it sends what it keeps as bytes. Ours counts, checks tags and freshness, and hands out bytes.
"""

import asyncio
import contextlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cachebox
import redis
from cashews import Cache as CashewsCache
from dogpile.cache import make_region

from benchmarks.cache_processes import PROCESSES, THREADS, latencies, stampede
from benchmarks.measure import Figure, compare
from pipelines_persistence.adapters.caching import open_cache
from pipelines_persistence.adapters.caching.local import NoLevel
from pipelines_persistence.adapters.caching.redis_level import RedisLevel
from pipelines_persistence.caching import Raw, TieredCache
from pipelines_persistence.configuration import CacheConfig

VALUE = b"x" * 300
LOCAL, SHARED, INVALIDATIONS = 10_000, 500, 1_000
ROUNDS = 11
"""Short turns and many of them: a busy machine then spoils some pairs, not the median."""


def figures() -> Iterator[Figure]:
    """Compare in memory, and on Redis where it is installed."""
    yield from _in_memory()
    if shutil.which("redis-server"):
        with running_redis() as url:
            yield from _on_redis(url)
            yield from _among_processes(url)


@contextlib.contextmanager
def running_redis() -> Iterator[str]:
    """Run a server on a spare port for as long as the block lasts; yields its URL."""
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=port)
        while True:
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                break
            time.sleep(0.01)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            client.close()
            process.kill()
            process.wait()


def _in_memory() -> Iterator[Figure]:
    cache = open_cache(CacheConfig(backend="memory"), Path(), None)
    space = cache.namespace("n", Raw())
    ours = _repeated(LOCAL, lambda: space.get_or_load("key", lambda: VALUE))
    bare: Any = cachebox.LRUCache(1000)
    bare.insert("key", VALUE)
    region = make_region().configure("dogpile.cache.memory", expiration_time=3600)
    peers = {
        "a bare cachebox get": (_repeated(LOCAL, lambda: bare.get("key")), 0.02),
        "dogpile.cache, memory": (_repeated(LOCAL, lambda: region.get_or_create("key", lambda: VALUE)), 3.0),
    }
    for name, (theirs, floor) in peers.items():
        yield compare(
            f"hit in memory, ours : {name}",
            ours,
            theirs,
            amount=LOCAL,
            unit="hits",
            floor=floor,
            rounds=ROUNDS,
        )
    with _cashews("mem://", LOCAL) as theirs:
        yield compare(
            "hit in memory, ours : cashews, mem://", ours, theirs, amount=LOCAL, unit="hits", rounds=ROUNDS
        )


def _on_redis(url: str) -> Iterator[Figure]:
    cache = TieredCache(NoLevel(), RedisLevel(url, timeout=5.0))  # so that every hit is one in Redis
    space = cache.namespace("n", Raw())
    space.set("key", VALUE)
    ours = _repeated(SHARED, lambda: space.get_or_load("key", lambda: VALUE))
    client = redis.Redis.from_url(url)
    client.set("bare", VALUE)
    server = url.removeprefix("redis://").split("/")[0].split(":")
    place = {"host": server[0], "port": int(server[1])}
    region = make_region().configure("dogpile.cache.redis", expiration_time=3600, arguments=place)
    peers = {
        "a bare redis GET": (_repeated(SHARED, lambda: client.get("bare")), 0.4),
        "dogpile.cache, redis": (_repeated(SHARED, lambda: region.get_or_create("d", lambda: VALUE)), 0.6),
    }
    for name, (theirs, floor) in peers.items():
        yield compare(
            f"hit in Redis, ours : {name}",
            ours,
            theirs,
            amount=SHARED,
            unit="hits",
            floor=floor,
            rounds=ROUNDS,
        )
    with _cashews(url, SHARED) as theirs:
        yield compare(
            "hit in Redis, ours : cashews, redis", ours, theirs, amount=SHARED, unit="hits", rounds=ROUNDS
        )
    cache.close()
    client.close()


def _among_processes(url: str) -> Iterator[Figure]:
    loads = [stampede(url, f"stampede{number}:")[0] for number in range(3)]
    wanted = [1 / count for count in loads]
    callers = PROCESSES * THREADS
    name = f"stampede of {PROCESSES} processes x {THREADS} threads on a cold key, loads needed : made"
    yield Figure(name, statistics.median(wanted), min(wanted), max(wanted), callers, "callers", floor=1.0)
    turn = _round_trip(url)
    found = sorted(latencies(url, "latency:", INVALIDATIONS))
    for share, floor in ((0.5, 0.03), (0.99, 0.0)):
        late = found[int(share * len(found))]
        name = f"invalidation until another process's copy is gone, p{share:.0%}".replace("%", "")
        name = f"{name}: {late * 1000:.2f} ms; a PING and its answer : that"
        ratios = [turn / late] * 3
        yield Figure(name, *ratios, 1 / late, "invalidations", floor=floor)


def _round_trip(url: str) -> float:
    with redis.Redis.from_url(url) as client:
        return statistics.median(_timed(client.ping) for _ in range(1000))


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _repeated(times: int, work: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            work()

    return run


@contextlib.contextmanager
def _cashews(url: str, times: int) -> Iterator[Callable[[], None]]:
    loop = asyncio.new_event_loop()
    peer = CashewsCache()
    peer.setup(url)

    async def load() -> bytes:
        return VALUE

    async def run() -> None:
        for _ in range(times):
            await peer.get_or_set("key", load, expire=3600)

    try:
        yield lambda: loop.run_until_complete(run())
    finally:
        loop.run_until_complete(peer.close())
        loop.close()
