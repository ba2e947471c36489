"""A child process that parses: bounded in time and memory, and replaced when it dies."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable
from typing import IO

import msgspec

from pipelines_persistence.errors import Reason
from pipelines_persistence.ingestion.parsing.limits import Limits
from pipelines_persistence.ingestion.parsing.messages import LENGTH, Answer, Request, encode
from pipelines_persistence.records import ParsedDocument

_WORKER = "pipelines_persistence.ingestion.parsing.worker"
_PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""A parser of untrusted files has no business with the secrets in the environment."""
_DOCUMENTS_PER_CHILD = 1_000
"""A child is replaced after so many, so that what libraries leak does not add up."""
_PIECE = 1 << 18
_OUT_OF_MEMORY = (b"memory allocation", b"bad_alloc", b"MemoryError", b"out of memory", b"Out of memory")


class Sandbox:
    """Parses one document at a time; safe to share between threads."""

    def __init__(self, limits: Limits) -> None:
        """Start nothing yet."""
        self._limits = limits
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the text of a document.

        Raises:
            DocumentError: TIMEOUT, OUT_OF_MEMORY, MALFORMED when the parser crashed, or what the parser says.
        """
        request = encode(Request(path, data))
        with self._lock:
            used = self._child is not None
            answer = self._ask(request)
            if used and self._child is None and answer.reason != Reason.TIMEOUT:
                # An outcome must not depend on what was parsed before: ask a fresh child.
                answer = self._ask(request)
        return answer.document()

    def close(self) -> None:
        """End the child; safe to call twice, and `parse` starts another."""
        with self._lock:
            self._discard()

    def _ask(self, request: bytes) -> Answer:
        if self._child is None:
            self._child = _Child(self._limits)
        answer = self._child.ask(request)
        if self._child.is_spent or answer.reason == Reason.OUT_OF_MEMORY:
            self._discard()
        return answer

    def _discard(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


class _Child:
    """A running worker."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `kill`
        self._process = subprocess.Popen(  # noqa: S603 - our own worker
            [sys.executable, "-P", "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        # A parser that nobody closed takes its child with it.
        self._end = weakref.finalize(self, _end, self._process, (self._stdin, self._stdout, self._errors))
        self._greeting = encode(limits)
        self._answered = 0
        self._dead = False

    @property
    def is_spent(self) -> bool:
        return self._dead or self._answered >= _DOCUMENTS_PER_CHILD

    def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its answer; a child that does not give one is dead after this."""
        deadline = time.monotonic() + self._limits.seconds
        try:
            self._send(self._greeting + request, deadline)
            self._greeting = b""
            (length,) = LENGTH.unpack(self._receive(LENGTH.size, deadline))
            answer = msgspec.msgpack.decode(self._receive(length, deadline), type=Answer)
        except TimeoutError:
            self._dead = True
            return Answer(
                Reason.TIMEOUT.value, f"not parsed within {self._limits.seconds:g} s (limits.seconds)"
            )
        except (EOFError, OSError, msgspec.MsgspecError):
            self._dead = True
            return self._autopsy()
        self._answered += 1
        return answer

    def kill(self) -> None:
        """End the process and release its pipes."""
        self._end()

    def _autopsy(self) -> Answer:
        """Say what a child died of."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        status = self._process.returncode
        self._errors.seek(0)
        if any(word in self._errors.read(_PIECE) for word in _OUT_OF_MEMORY):
            return Answer(
                Reason.OUT_OF_MEMORY.value, f"more than {self._limits.memory:,} bytes (limits.memory)"
            )
        cause = signal.Signals(-status).name if status is not None and status < 0 else f"status {status}"
        return Answer(Reason.MALFORMED.value, f"the parser crashed ({cause})")

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait(self._stdin, selectors.EVENT_WRITE, deadline)
            rest = rest[os.write(self._stdin.fileno(), rest[:_PIECE]) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < size:
            _wait(self._stdout, selectors.EVENT_READ, deadline)
            piece = os.read(self._stdout.fileno(), min(_PIECE, size - len(received)))
            if not piece:
                raise EOFError
            received += piece
        return bytes(received)


def _end(process: subprocess.Popen[bytes], files: Iterable[IO[bytes]]) -> None:
    with contextlib.suppress(OSError):
        process.kill()
    process.wait()
    for file in files:
        with contextlib.suppress(OSError):
            file.close()


def _wait(pipe: IO[bytes], event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
