"""Locks that whoever waits gets next, between threads and between processes.

Both are turnstiles: to wait is to hold the gate, and who would overtake has to pass the gate first. Without it, a
writer in a loop takes a polled lock again before a reader looks at it next.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines_persistence.adapters.qdrant_edge.files import storage_errors
from pipelines_persistence.errors import StoreUnavailable

POLL_SECONDS = 0.005
PATIENCE_SECONDS = 0.5
"""How long a wait may last before somebody is told."""


class ThreadLock:
    """Re-entrant, with a time-out."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._lock = threading.Lock()
        self._owner: int | None = None
        self.depth = 0

    def acquire(self, timeout: float) -> bool:
        """Return whether the lock was had within `timeout` seconds."""
        if self._owner != threading.get_ident() and not self._wait(timeout):
            return False
        self.depth += 1
        return True

    def release(self) -> None:
        """Undo one `acquire` of this thread."""
        self.depth -= 1
        if not self.depth:
            self._owner = None
            self._lock.release()

    def _wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        if not self._gate.acquire(timeout=timeout):
            return False
        try:
            if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return False
        finally:
            self._gate.release()
        self._owner = threading.get_ident()
        return True


class ProcessLock:
    """A file lock; the kernel releases it when its holder dies, so none is ever stale.

    Not for several threads at once: a `ThreadLock` stands before it.
    """

    def __init__(self, path: Path, timeout: float, on_wait: Callable[[str], None] | None) -> None:
        self._path = path
        self._timeout = timeout
        self._on_wait = on_wait
        self._lock = FileLock(f"{path}.lock", thread_local=False)
        self._gate = FileLock(f"{path}.gate", thread_local=False)
        self._holder = Path(f"{path}.holder")

    def acquire(self) -> None:
        """Take the lock; nothing happens if this object holds it.

        Raises:
            StoreUnavailable: another process holds it longer than the time-out; the message names it.
            StorageError: the lock's folder cannot be written.
        """
        if self._lock.is_locked:
            return
        deadline = time.monotonic() + self._timeout
        with storage_errors(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take(self._gate, deadline)
            try:
                self._take(self._lock, deadline)
            finally:
                self._gate.release()
        self._sign()

    def release(self) -> None:
        """Let the next one in."""
        self._lock.release()

    def contended(self) -> bool:
        """Whether another process waits for this lock. Only for its holder."""
        try:
            self._gate.acquire(blocking=False)
        except Timeout:
            return True
        self._gate.release()
        return False

    def _take(self, lock: FileLock, deadline: float) -> None:
        try:
            lock.acquire(timeout=min(PATIENCE_SECONDS, self._left(deadline)), poll_interval=POLL_SECONDS)
        except Timeout:
            if self._on_wait is not None:
                self._on_wait(f"waiting for {self._describe()}")
            self._take_or_give_up(lock, deadline)

    def _take_or_give_up(self, lock: FileLock, deadline: float) -> None:
        try:
            lock.acquire(timeout=self._left(deadline), poll_interval=POLL_SECONDS)
        except Timeout as error:
            raise StoreUnavailable(
                f"{self._describe()}, for longer than {self._timeout:g} s: "
                "try again when that process is done, or stop it"
            ) from error

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - time.monotonic())

    def _sign(self) -> None:
        """Say who holds the lock, for the messages of others: never relied on, so never worth an error."""
        try:
            self._holder.write_text(
                json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}),
                encoding="utf-8",
            )
        except OSError:
            return

    def _describe(self) -> str:
        try:
            holder = json.loads(self._holder.read_text(encoding="utf-8"))
            pid, since = holder["pid"], holder["since"]
        except (OSError, ValueError, TypeError, KeyError):
            return f"{self._path.name!r} of the vector store, which another process has locked"
        who = "this very process, through another store object" if pid == os.getpid() else f"process {pid}"
        return f"{self._path.name!r} of the vector store, locked by {who} since {since}"
