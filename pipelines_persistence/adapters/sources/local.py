"""A folder, or one file, on this machine.

os.scandir and os.open instead of fsspec's local file system: that one follows links without saying
where they lead, drops raw (non-UTF-8) names, opens a FIFO and waits, and swallows the error of a
folder it cannot list, which would look like a mass deletion.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipelines_persistence.adapters.sources.files import kind_of_file, local_signature, read_regular_file
from pipelines_persistence.adapters.sources.globs import PathFilter
from pipelines_persistence.adapters.sources.names import printable, unique_names
from pipelines_persistence.errors import DocumentError, Reason, SourceUnavailable
from pipelines_persistence.records import Json, SourceEntry


class FolderSource:
    """Lists a folder depth first in the order of the paths; a single file is a tree of one.

    Links: one to a file below the root is a document under its own path. One to a folder is not
    descended (loops), and is an entry with the problem LINK_TO_FOLDER, so that it is seen; what it
    leads to is listed where it really is. One that leaves the root, or leads nowhere, is a problem too.
    """

    def __init__(
        self,
        name: str,
        metadata: Mapping[str, Json],
        root: Path,
        path_filter: PathFilter,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Keep where the tree is; `clock` gives nanoseconds since the epoch."""
        self.name = name
        self.metadata = metadata
        self._root = root
        self._filter = path_filter
        self._clock = clock
        self._real_names: dict[str, str] | None = None

    def entries(self) -> Iterator[SourceEntry]:
        """List the documents; see the port.

        Raises:
            SourceUnavailable: the root or a folder below it is missing or cannot be listed.
        """
        real_root = self._resolve_root()
        found: dict[str, str] = {}
        if os.path.isdir(real_root):  # noqa: PTH112 - may be a raw name
            yield from self._walk(real_root, "", "", found)
        elif entry := self._entry(real_root, printable(self._root.name), str(self._root)):
            found[entry.path] = str(self._root)
            yield entry
        self._real_names = found

    def read(self, entry: SourceEntry, limit: int) -> bytes:
        """Return the content of an entry; see the port.

        Raises:
            DocumentError: it vanished, is not readable, is no regular file, or is larger than `limit`.
            SourceUnavailable: the root vanished.
        """
        if entry.problem is not None:
            raise entry.problem
        real_root = self._resolve_root()
        real = os.path.realpath(self._locate(entry.path))
        if not _inside(real, real_root):
            raise DocumentError(Reason.LINK_OUTSIDE_ROOT, "the link now leaves the root of the source")
        try:
            return read_regular_file(real, limit)
        except OSError as error:
            detail = "vanished since it was listed" if error.errno == errno.ENOENT else error.strerror
            raise DocumentError(Reason.UNREADABLE, detail or "") from error

    def _resolve_root(self) -> str:
        try:
            return os.path.realpath(self._root, strict=True)
        except OSError as error:
            raise SourceUnavailable(
                f"source {self.name!r}: {self._root}: {error.strerror}; nothing was listed, and nothing will be deleted"
            ) from error

    def _locate(self, path: str) -> str:
        """Return the real name of a listed path: NFC is the identity, the disk may spell it otherwise."""
        if os.path.isfile(self._root):  # noqa: PTH113 - raw names
            return str(self._root)
        plain = os.path.join(self._root, path)  # noqa: PTH118 - raw names
        if self._real_names is None and not os.path.lexists(plain):
            for _ in self.entries():
                pass
        return (self._real_names or {}).get(path, plain)

    def _walk(self, real_root: str, folder: str, shown: str, found: dict[str, str]) -> Iterator[SourceEntry]:
        """Yield what is below a folder; `folder` as the disk spells it, `shown` as paths do, both '' or 'x/'."""
        members = self._scan(os.path.join(real_root, folder))  # noqa: PTH118 - raw names
        names = unique_names(member.name for member in members)
        folders = {member.name for member in members if member.is_dir(follow_symlinks=False)}
        # A folder sorts as its children do, with the '/': that makes the whole listing sorted by path.
        for name in sorted(names, key=lambda name: names[name] + "/" * (name in folders)):
            real, path = folder + name, shown + names[name]
            if name in folders:
                if self._filter.descends(path):
                    yield from self._walk(real_root, f"{real}/", f"{path}/", found)
            elif self._filter.takes(path) and (entry := self._entry(real_root, path, f"{real_root}/{real}")):
                if real != path:
                    found[path] = f"{real_root}/{real}"
                yield entry

    def _scan(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as members:
                return list(members)
        except OSError as error:
            raise SourceUnavailable(
                f"source {self.name!r}: the folder {printable(folder)} cannot be listed ({error.strerror}); "
                "grant access or exclude it"
            ) from error

    def _entry(self, real_root: str, path: str, location: str) -> SourceEntry | None:
        """Describe one file or link; None when it vanished meanwhile."""
        try:
            status = os.lstat(location)
            if (
                problem := self._problem_of_link(real_root, location)
                if stat.S_ISLNK(status.st_mode)
                else None
            ):
                return SourceEntry(self.name, path, problem=problem)
            status = os.stat(location)  # noqa: PTH116 - raw names
        except FileNotFoundError:
            return None
        except OSError as error:
            unreadable = DocumentError(Reason.UNREADABLE, error.strerror or "")
            return SourceEntry(self.name, path, problem=unreadable)
        if not stat.S_ISREG(status.st_mode):
            kind = DocumentError(Reason.SPECIAL_FILE, f"a {kind_of_file(status.st_mode)}, no document")
            return SourceEntry(self.name, path, problem=kind)
        return SourceEntry(self.name, path, status.st_size, local_signature(status, self._clock()))

    def _problem_of_link(self, real_root: str, location: str) -> DocumentError | None:
        target = os.path.realpath(location)
        if location != str(self._root) and not _inside(target, real_root):
            return DocumentError(Reason.LINK_OUTSIDE_ROOT, "a link that leaves the root of the source")
        try:
            is_folder = stat.S_ISDIR(os.stat(location).st_mode)  # noqa: PTH116 - raw names
        except (FileNotFoundError, NotADirectoryError):
            return DocumentError(Reason.DANGLING_LINK, "a link that leads nowhere")
        except OSError as error:
            if error.errno == errno.ELOOP:
                return DocumentError(Reason.DANGLING_LINK, "a link that leads to itself")
            raise
        if is_folder:
            inner = printable(os.path.relpath(target, real_root))
            return DocumentError(
                Reason.LINK_TO_FOLDER, f"links to folders are not followed; it leads to {inner}"
            )
        return None


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
