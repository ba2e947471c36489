"""Several processes on one cache: `python -m benchmarks.cache_processes ROLE URL PREFIX …`; the tests use it, too."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from pipelines_persistence.adapters.caching import open_cache
from pipelines_persistence.caching import Raw, TieredCache
from pipelines_persistence.configuration import CacheConfig

PROCESSES, THREADS = 4, 50
LOAD_SECONDS = 0.2


def shared_cache(url: str, prefix: str, **options: Any) -> TieredCache:
    """Open a cache on a server, with time-outs for a busy machine."""
    config = CacheConfig(prefix=prefix, **{"timeout": 5.0, **options})
    return open_cache(config, Path(), url)


@contextlib.contextmanager
def workers(count: int, role: str, *arguments: str) -> Iterator[list["subprocess.Popen[str]"]]:
    """Run some of this module's roles for as long as the block lasts; each says `ready` first."""
    command = [sys.executable, "-m", "benchmarks.cache_processes", role, *arguments]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    try:
        for worker in running:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n", f"a worker {role!r} did not start"
        yield running
    finally:
        for worker in running:
            worker.kill()
            worker.communicate()


def tell(worker: "subprocess.Popen[str]", line: str = "go") -> None:
    """Send a line."""
    assert worker.stdin is not None
    worker.stdin.write(line + "\n")
    worker.stdin.flush()


def hear(worker: "subprocess.Popen[str]") -> str:
    """Wait for a line."""
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def stampede(
    url: str, prefix: str, processes: int = PROCESSES, threads: int = THREADS
) -> tuple[int, list[str]]:
    """Let many ask for one cold key at once; returns how often it was loaded, and each process's answers."""
    with workers(processes, "stampede", url, prefix, str(threads)) as running:
        for worker in running:
            tell(worker)
        answers = [hear(worker) for worker in running]
    with redis.Redis.from_url(url) as client:
        return int(client.get(f"{prefix}loads") or 0), answers  # type: ignore[arg-type]  # a synchronous client


def latencies(url: str, prefix: str, times: int) -> list[float]:
    """Invalidate keys, one after another; returns the seconds until another process's copy of each was gone."""
    begun = {}
    with workers(1, "hear", url, prefix) as [other], contextlib.closing(shared_cache(url, prefix)) as cache:
        space = cache.namespace("n", Raw())
        space.warm((str(number), b"value") for number in range(times))
        tell(other, str(times))  # to read them all
        hear(other)
        for number in range(times):
            begun[str(number)] = time.monotonic()
            space.invalidate(str(number))
            time.sleep(0.001)
        tell(other)
        gone = json.loads(hear(other))
    return [gone[key] - moment for key, moment in begun.items()]


def _stampede(url: str, prefix: str, threads: str) -> None:
    client = redis.Redis.from_url(url)
    cache = shared_cache(url, prefix)
    space = cache.namespace("n", Raw())
    space.get("another")  # so that nobody has yet to connect
    start, answers = threading.Event(), []

    def load() -> bytes:
        number = client.incr(f"{prefix}loads")
        time.sleep(LOAD_SECONDS)
        return str(number).encode()

    def ask() -> None:
        start.wait()
        answers.append(space.get_or_load("cold", load).decode())

    asking = [threading.Thread(target=ask) for _ in range(int(threads))]
    for thread in asking:
        thread.start()
    _say("ready")
    sys.stdin.readline()
    start.set()
    for thread in asking:
        thread.join()
    _say(f"{len(answers)}x{'|'.join(sorted(set(answers)))}")
    cache.close()


class _Hearing(TieredCache):
    """Notes when keys of its own memory are removed."""

    gone: dict[str, float]

    def changed(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        had = [key for key in keys if self._local.get(key)]
        super().changed(keys, tags)
        now = time.monotonic()
        self.gone.update({key.partition(":")[2]: now for key in had})


def _hear(url: str, prefix: str) -> None:
    cache: Any = shared_cache(url, prefix)
    cache.__class__ = _Hearing
    cache.gone = {}
    space = cache.namespace("n", Raw())
    space.get("another")
    _say("ready")
    times = int(sys.stdin.readline())
    time.sleep(0.2)  # what is still to be heard of their being written
    assert all(space.get(str(number)) for number in range(times))
    cache.gone.clear()
    _say("read")
    sys.stdin.readline()
    time.sleep(0.2)
    _say(json.dumps(cache.gone))


def _hold(url: str, prefix: str) -> None:
    """Begin to load a key, say so, and never end."""
    space = shared_cache(url, prefix, lease=0.5).namespace("n", Raw())

    def load() -> bytes:
        _say("ready")
        time.sleep(3600)
        return b""

    space.get_or_load("k", load)


def _write(url: str, prefix: str, first: str, count: str) -> None:
    """Write versions of one key in a random order, and read after each: what is read is never older than before."""
    import random

    cache = shared_cache(url, prefix)
    space = cache.namespace("n", Raw())
    space.get("k")
    versions = [*range(int(first), int(first) + int(count))]
    random.shuffle(versions)
    _say("ready")
    sys.stdin.readline()
    for version in versions:
        space.set("k", str(version).encode(), version=version)
    _say("done")
    sys.stdin.readline()
    _say((space.get("k") or b"").decode())


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    {"stampede": _stampede, "hear": _hear, "hold": _hold, "write": _write}[sys.argv[1]](*sys.argv[2:])
