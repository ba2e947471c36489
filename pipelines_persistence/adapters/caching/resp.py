"""Commands out and answers in, as Redis speaks them (RESP2), by hiredis: the client's own way around it takes longer than a GET.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/. See decision 9.
"""

import socket
from collections.abc import Sequence
from typing import Any

import hiredis

Command = tuple[Any, ...]

_CHUNK = 65_536
_NOTHING = object()
_NOT_READY = ("LOADING", "NOAUTH", "WRONGPASS")
"""Errors that say that the connection is of no use, rather than that a command was refused."""


def packed(commands: Sequence[Command]) -> bytes:
    """Return commands as they are sent; their parts are bytes, numbers, or text, which goes as UTF-8."""
    return b"".join(map(hiredis.pack_command, commands))


class Answers:
    """Reads answers off a connection, whatever pieces they arrive in."""

    __slots__ = ("_parser", "_socket")

    def __init__(self, connected: socket.socket) -> None:
        """Take a connection on which no answer is outstanding."""
        self._socket = connected
        self._parser = hiredis.Reader(
            protocolError=ConnectionAbortedError,
            replyError=_refusal,
            notEnoughData=_NOTHING,
            errors="replace",
        )

    def is_there(self, seconds: float) -> bool:
        """Whether anything of the next answer arrives within `seconds`."""
        if self._parser.has_data():
            return True
        usual = self._socket.gettimeout()
        self._socket.settimeout(seconds)
        try:
            self._receive()
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(usual)
        return True

    def read(self) -> Any:  # noqa: ANN401 - an answer of Redis
        """Return the next answer: bytes, int, None or a list of these; an error is returned, not raised.

        Raises:
            OSError: the connection was closed, is silent for longer than its time-out, or does not speak the protocol.
        """
        while (answer := self._parser.gets()) is _NOTHING:
            self._receive()
        return answer

    def _receive(self) -> None:
        piece = self._socket.recv(_CHUNK)
        if not piece:
            raise ConnectionResetError("the server closed the connection")
        self._parser.feed(piece)


def _refusal(told: str) -> Exception:
    import redis

    return redis.ConnectionError(told) if told.startswith(_NOT_READY) else redis.ResponseError(told)
