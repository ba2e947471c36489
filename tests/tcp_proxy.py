"""A TCP proxy that misbehaves on demand: refuses, drops, hangs, loses an answer. For tests of faults on the wire."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset, as a host that died does


class TcpProxy:
    """Stands between a client and a server on this machine."""

    def __init__(self, host: str, port: int) -> None:
        """Listen on a spare port."""
        self._target = (host, port)
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lost: bytes | None = None
        self._refusing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def refuse(self) -> None:
        """End all connections, and take no new ones."""
        self._refusing = True
        self.drop()

    def drop(self) -> None:
        """End all connections; new ones are taken."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(pair)

    def hang(self) -> None:
        """Keep connections open, and pass nothing on: what a host does that is stopped, or cut off."""
        self._open.clear()

    def lose_answer_to(self, words: bytes) -> None:
        """Pass on the next message that holds these words; when its answer comes, end the connection instead."""
        self._lost = words

    def resume(self) -> None:
        """Behave."""
        self._refusing = False
        self._open.set()

    def close(self) -> None:
        """End everything."""
        self._open.set()
        self.refuse()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                if self._refusing:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    client.close()
                    continue
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        try:
            pair = (client, socket.create_connection(self._target))
        except OSError:  # the server is down
            client.close()
            return
        with self._lock:
            self._pairs.append(pair)
        losing = threading.Event()
        for source, sink, is_answer in ((*pair, False), (*reversed(pair), True)):
            arguments = (source, sink, pair, losing, is_answer)
            threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(
        self,
        source: socket.socket,
        sink: socket.socket,
        pair: tuple[socket.socket, socket.socket],
        losing: threading.Event,
        is_answer: bool,  # noqa: FBT001 - a thread's argument
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._open.wait()
                if is_answer and losing.is_set():
                    break
                if not is_answer and self._lost and self._lost in data:
                    self._lost = None
                    losing.set()
                sink.sendall(data)
        _close(pair)


def _close(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextlib.contextmanager
def tcp_proxy(host: str, port: int) -> Iterator[TcpProxy]:
    """Run a proxy for as long as the block lasts."""
    proxy = TcpProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
