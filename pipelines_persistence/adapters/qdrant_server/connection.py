"""The way to the server: one channel for all threads, a deadline on each call, one immediate reconnect.

After a restart of the server, calls over the old channel fail, and a channel that could not connect makes its callers
wait; a connection that was cut without a word (half-open) times out each call. So a channel that failed is replaced by
a new one, which connects at once, and retired: it closes when the last call on it is over.
"""

import os
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol, TypeVar

from pipelines_persistence.adapters.qdrant_server.address import Address
from pipelines_persistence.adapters.qdrant_server.failures import is_broken_line, translated
from pipelines_persistence.adapters.qdrant_server.methods import response_type, serialized
from pipelines_persistence.errors import StoreError

T = TypeVar("T")

RECONNECT_WITHIN = 1.0
"""Seconds; what broke later than this was more than a stale connection, and is the guard's business."""

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A new channel must not inherit the back-off of the one that failed.
    ("grpc.use_local_subchannel_pool", 1),
)


# What the library prints on its own account about connections that end is no news for a terminal. It reads this when it is
# imported, which whoever builds a first message does.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""Statuses after which the connection may be no good any more."""


class CallGuard(Protocol):
    """What stands around each call: retries, a circuit breaker; `resilience.Guard` is one."""

    def call(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; it may run more than once, and all calls of the store allow that."""


class Unguarded:
    """Calls directly."""

    def call(self, work: Callable[[], T]) -> T:
        """Return what `work` returns."""
        return work()


class Line:
    """A channel and the calls on it."""

    def __init__(self, address: Address) -> None:
        """Connect at the first call.

        Args:
            address: of the server.
        """
        import grpc

        if address.is_encrypted:
            self._channel = grpc.secure_channel(address.target, grpc.ssl_channel_credentials(), _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address.target, _OPTIONS)
        self._methods: dict[str, Callable[..., Any]] = {}
        self._lock = Lock()
        self._calls = 0
        self._is_retired = False

    def method(self, path: str) -> Callable[..., Any]:
        """Return the call of a method, such as "Points/Query"; a request of bytes is sent as it is."""
        if path not in self._methods:
            self._methods[path] = self._channel.unary_unary(
                f"/qdrant.{path}",
                request_serializer=serialized,
                response_deserializer=response_type(path).FromString,
            )
        return self._methods[path]

    def enter(self) -> None:
        """Keep the channel open for a call, until `leave`."""
        with self._lock:
            self._calls += 1

    def leave(self) -> None:
        """End a call; the last one on a retired channel closes it."""
        with self._lock:
            self._calls -= 1
            is_over = self._is_retired and not self._calls
        if is_over:
            self._channel.close()

    def retire(self) -> None:
        """Close the channel when nobody uses it any more."""
        with self._lock:
            self._is_retired = True
            is_idle = not self._calls
        if is_idle:
            self._channel.close()


class Connection:
    """Calls methods of the server."""

    def __init__(self, address: Address, api_key: str | None, timeout: float, guard: CallGuard) -> None:
        self.address = address
        self._metadata = (("api-key", api_key),) if api_key else ()
        self._timeout = timeout
        self._guard = guard
        self._lock = Lock()
        self._line: Line | None = None
        self._pid: int | None = None

    def call(self, path: str, request: object, doing: str, name: str = "") -> Any:  # noqa: ANN401 - protobuf has no types
        """Send a request through the guard and return the response.

        Args:
            path: service and method, such as "Points/Query".
            request: a message, or one that is serialized already.
            doing: what for, in messages, such as "searching in 'docs'".
            name: the collection or alias that has to exist, if any.

        Raises:
            IndexNotFound: `name` does not exist.
            StoreUnavailable: the server does not answer within the deadline, or not now.
            StoreError, StorageError: it refuses, or its disk is full.
        """
        return self._guard.call(lambda: self._attempt(path, request, doing, name))

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        with self._lock:
            line, self._line = self._line, None
        if line and self._pid == os.getpid():
            line.retire()

    def _attempt(self, path: str, request: object, doing: str, name: str) -> Any:  # noqa: ANN401 - see `call`
        import grpc

        start = time.monotonic()
        try:
            return self._send(path, request, self._timeout)
        except grpc.RpcError as error:
            seconds = time.monotonic() - start
            if not is_broken_line(error) or seconds > RECONNECT_WITHIN:
                raise self._translated(error, doing, name) from error
        try:
            return self._send(path, request, self._timeout - seconds)
        except grpc.RpcError as error:
            raise self._translated(error, doing, name) from error

    def _send(self, path: str, request: object, timeout: float) -> Any:  # noqa: ANN401 - see `call`
        import grpc

        line = self._entered()
        try:
            return line.method(path)(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            if error.code().name in _LOST:
                self._replace(line)
            raise
        finally:
            line.leave()

    def _entered(self) -> Line:
        with self._lock:
            if self._line is None:
                self._line, self._pid = Line(self.address), os.getpid()
            elif self._pid != os.getpid():
                raise StoreError(
                    "the connection to Qdrant was made before this process was forked, and would hang: start processes "
                    "with multiprocessing.get_context('spawn'), or make the store in the new process"
                )
            self._line.enter()  # under this lock, so that nobody retires and closes it in between
            return self._line

    def _replace(self, line: Line) -> None:
        with self._lock:
            if self._line is line:
                self._line = None
        line.retire()

    def _translated(self, error: Any, doing: str, name: str) -> Exception:  # noqa: ANN401 - gRPC's errors are calls, too
        return translated(error, doing, str(self.address), name)
