"""Connections that belong to us alone: nothing reconnects one behind our back, so what the server knows of it stays true.

The driver makes them: it knows of URLs, TLS, passwords and databases.
"""

import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import RLock, Semaphore
from typing import TYPE_CHECKING, Any

from pipelines_persistence.adapters.caching.resp import Answers, Command, packed
from pipelines_persistence.errors import CacheUnavailable

if TYPE_CHECKING:
    import redis


class Wire:
    """Sends commands and reads all answers, one thread at a time."""

    def __init__(self, pool: "redis.ConnectionPool") -> None:
        """Connect, with what the pool's connections are made of; they speak RESP2. The pool does not keep it.

        Raises:
            RedisError, OSError: there is no server, or it refuses.
        """
        self.exclusive = RLock()
        """Held by `run`; hold it over several where the server keeps something between them, as with WATCH."""
        self._connection: Any = pool.connection_class(**pool.connection_kwargs)
        self._connection.connect()
        self._socket: socket.socket = self._connection._sock  # noqa: SLF001 - there is no other way to it
        self._answers = Answers(self._socket)
        self.is_open = True

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers, in order; one that is an error, or has one in it, is raised when all are read.

        Raises:
            RedisError, OSError: the wire is then closed, unless it was an answer of the server.
        """
        return self.exchange(packed(commands), len(commands))

    def exchange(self, data: bytes, count: int) -> list[Any]:
        """Do what `run` does, with commands that are packed already.

        Args:
            data: the commands.
            count: of their answers.
        """
        with self.exclusive:
            try:
                self._send(data)
                answers = [self._answers.read() for _ in range(count)]
            except BaseException:
                # Also if the thread was interrupted: the next one must not read the answers of this one.
                self.is_open = False
                self._connection.disconnect()
                raise
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        # What was refused within a transaction stands in the answer to EXEC, which is the last one.
        last = answers[-1] if answers else None
        if type(last) is list:
            for answer in last:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    def read(self, seconds: float) -> Any:  # noqa: ANN401 - an answer of Redis
        """Return the next message, or None if none comes within `seconds`. Only for the one who listens."""
        self._check()
        return self._answers.read() if self._answers.is_there(seconds) else None

    def send(self, *command: object) -> None:
        """Send without waiting for an answer, which `read` will return."""
        with self.exclusive:
            self._send(packed([command]))

    def close(self) -> None:
        """Hang up; whoever reads or writes fails."""
        self.is_open = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads

    def _send(self, data: bytes) -> None:
        self._check()
        self._socket.sendall(data)

    def _check(self) -> None:
        if not self.is_open:
            raise ConnectionResetError("the connection is closed")


class Wires:
    """A bounded number of wires, of which each thread borrows one: the one that was used last, so few are open."""

    def __init__(self, make: Callable[[], Wire], *, most: int, patience: float) -> None:
        """Take what makes one, how many there may be, and the seconds that a thread waits for one of them."""
        self._make = make
        self._patience = patience
        self._free = Semaphore(most)
        self._idle: deque[Wire] = deque()

    def exchange(self, data: bytes, count: int) -> list[Any]:
        """See `Wire.exchange`. The commands must only read: they are sent again if the server had hung up meanwhile.

        Raises:
            CacheUnavailable: all are in use. No reason to think that the server is down.
        """
        if not self._free.acquire(timeout=self._patience):
            raise CacheUnavailable(
                "all connections to the shared cache are in use; values are loaded meanwhile"
            )
        try:
            return self._exchange(self._idle, data, count)
        finally:
            self._free.release()

    def clear(self) -> None:
        """Close those that are idle, and let the others go when they come back."""
        idle, self._idle = self._idle, deque()
        for wire in idle:
            wire.close()

    def _exchange(self, idle: deque[Wire], data: bytes, count: int) -> list[Any]:
        if idle:
            with suppress(
                IndexError, ConnectionError
            ):  # another thread took it; or the server hung up meanwhile
                return _lent(idle.pop(), idle, data, count)
        return _lent(self._make(), idle, data, count)


def _lent(wire: Wire, idle: deque[Wire], data: bytes, count: int) -> list[Any]:
    try:
        return wire.exchange(data, count)
    finally:
        if wire.is_open:
            idle.append(wire)
