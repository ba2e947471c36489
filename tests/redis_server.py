"""A Redis on a port of its own, to be killed, started again, filled up and locked. For tests of faults."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

PASSWORD = "s3cret"


class FaultyRedis:
    """A server that keeps what it has over kill -9, as long as it is started with `keeps`.

    Attributes:
        port: its own.
        url: with the password.
    """

    def __init__(self, folder: Path, *, keeps: bool = False) -> None:
        """Start nothing yet.

        Args:
            folder: for what it writes.
            keeps: whether it writes down each change, to be there after a restart.
        """
        program = shutil.which("redis-server")
        if not program:
            pytest.skip("Redis is not installed: apt-get install redis-server")
        with socket.socket() as spare:
            spare.bind(("127.0.0.1", 0))
            self.port: int = spare.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "requirepass": PASSWORD,
            "appendonly": "yes" if keeps else "no",
            "appendfsync": "no",  # what a killed process has written, the kernel has
            "enable-protected-configs": "local",
        }
        self._command = [program, *(part for key, value in options.items() for part in (f"--{key}", value))]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.admin = redis.Redis.from_url(self.url, decode_responses=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.admin.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """End it as a power failure does, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None
            self.admin.connection_pool.disconnect()

    def refuse_writes(self) -> None:
        """Fail to save, as on a full disk: from then on no command that writes is taken."""
        self.admin.config_set("dir", "/proc")  # where no file can be made, whoever one is
        self.admin.config_set("save", "3600 1000000")
        self.admin.bgsave()
        deadline = time.monotonic() + 30
        while self.admin.info("persistence")["rdb_last_bgsave_status"] == "ok":
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def fill_memory(self) -> None:
        """Let no further byte in; nothing is evicted."""
        self.admin.config_set("maxmemory", "1")

    def lock(self, password: str) -> None:
        """Change the password, and hang up on everybody."""
        self.admin.config_set("requirepass", password)
        with contextlib.suppress(redis.RedisError):
            self.admin.client_kill_filter(_type="normal", skipme=True)
            self.admin.client_kill_filter(_type="pubsub", skipme=True)


@contextlib.contextmanager
def faulty_redis(folder: Path, *, keeps: bool = False) -> Iterator[FaultyRedis]:
    """Run a server for as long as the block lasts."""
    server = FaultyRedis(folder, keeps=keeps)
    server.start()
    try:
        yield server
    finally:
        server.admin.close()
        server.kill()
