"""At most one run per index on this machine, held by a file lock that the system frees with its process."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from pipelines_persistence.errors import IndexBusy


class IndexLock:
    """A context manager that holds an index, and says who does when it cannot."""

    def __init__(self, folder: Path, index: str) -> None:
        """Name the lock; nothing is written before it is entered."""
        self._index = index
        self._holder = folder / f"{index}.holder.json"
        self._lock = FileLock(folder / f"{index}.lock", timeout=0)

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            IndexBusy: another run has it.
        """
        self._holder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise IndexBusy(
                f"another run holds the index {self._index!r} ({self._describe()}); wait for it to end, then run again"
            ) from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._holder.write_text(
            json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free it."""
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _describe(self) -> str:
        try:
            holder = json.loads(self._holder.read_text())
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, KeyError):
            return "its holder is just starting or ending"
