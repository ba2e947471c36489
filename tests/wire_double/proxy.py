"""A TCP proxy that can fall silent: the half-open connection of a cable that was pulled."""

import contextlib
import socket
import threading
from typing import Self


class Proxy:
    """Forwards connections to a port of this machine; `freeze` makes the ones there are silent, without closing them."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._silent: set[socket.socket] = set()
        self._open: list[socket.socket] = []
        self.accepts = True
        self._hang_ups = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self, *, accepts: bool = False) -> None:
        """Let no byte pass on the connections that are open; new ones work only if `accepts`."""
        self.accepts = accepts
        self._silent.update(self._open)

    def thaw(self) -> None:
        """Let new connections work; the silent ones stay so, as after a pulled cable."""
        self.accepts = True

    def hang_up(self, connections: int) -> None:
        """Close the next connections as soon as they are made, as what stands before a server that restarts."""
        self._hang_ups = connections

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._hang_ups:
                    self._hang_ups -= 1
                    near.close()
                    continue
                self._open.append(near)
                if not self.accepts:
                    self._silent.add(near)
                    continue
                self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            near.close()
            return
        self._open.append(far)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if source not in self._silent:
                    sink.sendall(data)
            if source not in self._silent:
                sink.shutdown(socket.SHUT_WR)
