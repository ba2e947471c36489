"""One collection's shard: opened under its lock, closed before the lock is released."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.qdrant_edge.engine import close_shard, load_shard
from pipelines_persistence.adapters.qdrant_edge.locks import ProcessLock, ThreadLock
from pipelines_persistence.errors import StoreUnavailable

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard


class ShardHandle:
    """At most one open shard of a collection in this process, and none in two processes.

    A second load beside an open shard can corrupt it, even where the load fails. So the lock, which is ours and
    lies outside the shard, comes first and goes last.
    """

    def __init__(
        self, name: str, folder: Path, locks: Path, timeout: float, on_wait: Callable[[str], None] | None
    ) -> None:
        self._name = name
        self._folder = folder
        self._timeout = timeout
        self._threads = ThreadLock()
        self._processes = ProcessLock(locks / name, timeout, on_wait)
        self._shard: EdgeShard | None = None
        self._sessions = 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep threads and processes out; the same thread may enter again."""
        with self._thread_locked():
            self._processes.acquire()
            try:
                yield
            finally:
                if self._threads.depth == 1 and not self._may_stay_open():
                    self._close()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Leave the shard open between calls, until another process waits for it."""
        with self._thread_locked():
            self._sessions += 1
        try:
            yield
        finally:
            with self._thread_locked():
                self._sessions -= 1
                if not self._sessions and self._threads.depth == 1:
                    self._close()

    def shard(self) -> "EdgeShard":
        """Return the open shard; inside `locked` only."""
        if self._shard is None:
            self._shard = load_shard(self._folder / "shard")
        return self._shard

    def put(self, shard: "EdgeShard") -> None:
        """Take over a shard that was just created or opened; inside `locked` only."""
        self._shard = shard

    def close_shard(self) -> None:
        """Close the shard and keep the lock; inside `locked` only."""
        shard, self._shard = self._shard, None
        if shard is not None:
            close_shard(shard, self._name)

    def rest(self) -> None:
        """Close what a session left open, and release it, unless this thread is in the middle of a call."""
        if not self._sessions:
            return
        with self._thread_locked():
            if self._threads.depth == 1:
                self._close()

    def _may_stay_open(self) -> bool:
        return bool(self._sessions) and not self._processes.contended()

    def _close(self) -> None:
        try:
            self.close_shard()
        finally:
            self._processes.release()

    @contextmanager
    def _thread_locked(self) -> Iterator[None]:
        if not self._threads.acquire(self._timeout):
            raise StoreUnavailable(
                f"another thread of this process uses {self._name!r} for longer than {self._timeout:g} s: try again"
            )
        try:
            yield
        finally:
            self._threads.release()
