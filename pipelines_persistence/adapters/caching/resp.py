"""The wire format of Redis, RESP2: commands out, answers in.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/. The driver speaks it as well, and takes as long for a
GET as the server and the kernel together; see decision 9.
"""

import socket
from collections.abc import Sequence
from typing import Any

Command = tuple[Any, ...]

_CHUNK = 65_536
_END = b"\r\n"
_NOT_READY = ("LOADING", "NOAUTH", "WRONGPASS")
"""Errors that say that the connection is of no use, rather than that a command was refused."""


def packed(commands: Sequence[Command]) -> bytes:
    """Return commands as they are sent; what is not bytes is sent as its text, in UTF-8."""
    pieces: list[bytes] = []
    for command in commands:
        pieces.append(b"*%d\r\n" % len(command))
        pieces += map(bulk, command)
    return b"".join(pieces)


def bulk(part: object) -> bytes:
    """Return one part of a command as it is sent."""
    data = part if isinstance(part, bytes) else str(part).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


class Answers:
    """Reads answers off a connection, whatever pieces they arrive in."""

    __slots__ = ("_at", "_data", "_socket")

    def __init__(self, connected: socket.socket) -> None:
        """Take a connection on which no answer is outstanding."""
        self._socket = connected
        self._data = b""
        self._at = 0

    def is_there(self, seconds: float) -> bool:
        """Whether anything of the next answer arrives within `seconds`."""
        if self._at < len(self._data):
            return True
        usual = self._socket.gettimeout()
        self._socket.settimeout(seconds)
        try:
            self._fill(1)
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(usual)
        return True

    def skip(self, known: bytes) -> bool:
        """Pass over the next answers, if they are these and all there."""
        if self._at == len(self._data):
            self._fill(1)
        is_there = self._data.startswith(known, self._at)
        self._at += len(known) if is_there else 0
        return is_there

    def read(self) -> Any:  # noqa: ANN401 - an answer of Redis
        """Return the next answer: bytes, int, None or a list of these; an error is returned, not raised.

        Raises:
            OSError: the connection was closed, or is silent for longer than its time-out.
        """
        data, begin = self._data, self._at
        end = data.find(_END, begin)
        if end < 0:
            data, begin, end = self._line()
        self._at = end + 2
        kind, rest = data[begin], data[begin + 1 : end]
        if kind == 36:  # "$", most of them
            return self._bulk(int(rest))
        if kind == 42:  # "*"
            size = int(rest)
            return None if size < 0 else [self.read() for _ in range(size)]
        if kind == 58:  # ":"
            return int(rest)
        return rest if kind == 43 else _error(kind, rest)  # "+"

    def _bulk(self, size: int) -> bytes | None:
        if size < 0:
            return None
        if len(self._data) < self._at + size + 2:
            self._fill(size + 2)
        begin, end = self._at, self._at + size
        self._at = end + 2
        return self._data[begin:end]

    def _line(self) -> tuple[bytes, int, int]:
        end = -1
        while end < 0:
            self._fill(len(self._data) - self._at + 1)
            end = self._data.find(_END)
        return self._data, 0, end

    def _fill(self, wanted: int) -> None:
        """Read until `wanted` bytes are there, each of which is copied once, however many there are."""
        pieces = [self._data[self._at :]]
        missing = wanted - len(pieces[0])
        while missing > 0:
            piece = self._socket.recv(max(_CHUNK, missing))
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            pieces.append(piece)
            missing -= len(piece)
        self._data, self._at = b"".join(pieces), 0


def _error(kind: int, rest: bytes) -> Exception:
    """Return the error that the server answered; raise where it answered what is none."""
    import redis

    if kind != 45:  # "-"
        raise ConnectionAbortedError(f"what answers does not speak RESP2: {bytes([kind]) + rest[:40]!r}")
    text = rest.decode(errors="replace")
    return redis.ConnectionError(text) if text.startswith(_NOT_READY) else redis.ResponseError(text)
