"""A folder that files of JSONL are put into."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipelines_persistence.adapters.event_files import LocalFile, explained
from pipelines_persistence.adapters.sources.names import printable, unique_names
from pipelines_persistence.events.feeds import feed_name
from pipelines_persistence.events.inbox import FEED

_SUFFIXES = (".jsonl", ".jsonl.gz")


class InboxFolder:
    """A folder that files of JSONL are put into, at any depth. What begins with a dot is left alone."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Keep where it is, and the name under which its files are remembered: by default its path."""
        self._path = path
        self._name = printable(name or str(path)).rstrip("/")

    def files(self) -> list["LocalInboxFile"]:
        """List the files, in the order of their paths.

        Raises:
            SourceUnavailable: the folder is not there, or cannot be listed.
        """
        with explained(f"the inbox {self._name}"):
            paths = sorted(self._walk())
        names = unique_names(str(path.relative_to(self._path)) for path in paths)
        return [
            LocalInboxFile(path, f"{self._name}/{names[str(path.relative_to(self._path))]}") for path in paths
        ]

    def _walk(self) -> Iterator[Path]:
        def fail(error: OSError) -> None:
            raise error

        for folder, folders, files in os.walk(self._path, onerror=fail):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (
                Path(folder, name) for name in files if name.endswith(_SUFFIXES) and not name.startswith(".")
            )


class LocalInboxFile(LocalFile):
    """A file of an inbox."""

    @property
    def feed(self) -> str:
        """See `InboxFile`."""
        return feed_name(f"{FEED}{self.name}")

    def signature(self) -> str:
        """See `InboxFile`; the size and the time of the last change."""
        with explained(self.name):
            status = self._path.stat()
        return f"{status.st_size}-{status.st_mtime_ns}"
