"""A connection that belongs to us alone: nothing reconnects it behind our back, so what the server knows of it stays true."""

import socket
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from threading import RLock
from typing import TYPE_CHECKING, Any

from pipelines_persistence.errors import CacheUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

Command = tuple[Any, ...]


@contextmanager
def explained(place: str) -> "Iterator[None]":
    """Turn the errors of the driver into ours.

    Raises:
        CacheUnavailable: with the place, which has no password.
    """
    import redis

    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise CacheUnavailable(
            f"the shared cache at {place} does not answer: {error}; nothing is lost, values are loaded again"
        ) from error


class Wire:
    """Sends commands and reads all answers, one thread at a time."""

    def __init__(self, pool: "redis.ConnectionPool") -> None:
        """Connect, with what the pool's connections are made of; they speak RESP2.

        Raises:
            RedisError, OSError: there is no server, or it refuses.
        """
        self.exclusive = RLock()
        """Held by `run`; hold it over several where the server keeps something between them, as with WATCH."""
        self._connection: Any = pool.make_connection()  # the driver's connections have no types
        self._connection.connect()  # type: ignore[no-untyped-call]
        self._is_open = True

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers, in order; one that is an error is raised when all are read.

        Raises:
            RedisError, OSError: the wire is then closed, unless it was an answer of the server.
        """
        import redis

        with self.exclusive:
            try:
                self._send(commands)
                answers = [self._answer() for _ in commands]
            except BaseException:
                # Also if the thread was interrupted: the next one must not read the answers of this one.
                self._is_open = False
                self._connection.disconnect()
                raise
        for answer in answers:
            if isinstance(answer, redis.ResponseError):
                raise answer
        return answers

    def read(self, seconds: float) -> Any:  # noqa: ANN401 - an answer of Redis
        """Return the next message, or None if none comes within `seconds`. Only for the one who listens."""
        self._check()
        return self._connection.read_response() if self._connection.can_read(timeout=seconds) else None

    def send(self, *command: object) -> None:
        """Send without waiting for an answer, which `read` will return."""
        with self.exclusive:
            self._send([command])

    def close(self) -> None:
        """Hang up; whoever reads or writes fails."""
        self._is_open = False
        connected = getattr(self._connection, "_sock", None)
        if connected is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads

    def _send(self, commands: Sequence[Command]) -> None:
        self._check()
        self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)

    def _check(self) -> None:
        if not self._is_open:  # the driver would connect anew, and the server know nothing of it
            raise ConnectionResetError("the connection is closed")

    def _answer(self) -> Any:  # noqa: ANN401 - an answer of Redis
        import redis

        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            return error
