"""The documents in an archive, whatever its container, wherever it lies.

fsspec brings the bytes (of a folder, a bucket, a server) and the standard library opens the
container: fsspec's own archive file systems hide encryption, links and damage.
"""

import posixpath
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, TypeVar

from pipelines_persistence.adapters.sources.globs import PathFilter
from pipelines_persistence.adapters.sources.names import unique_names
from pipelines_persistence.adapters.sources.remote import is_worth_repeating, source_errors
from pipelines_persistence.errors import DocumentError, Reason, SourceUnavailable
from pipelines_persistence.records import Json, SourceEntry
from pipelines_persistence.resilience import Guard

T = TypeVar("T")

MAX_MEMBERS = 1_000_000
_MAX_LINKS = 40


class Kind(Enum):
    """What a member of an archive is."""

    FILE = auto()
    LINK = auto()
    SPECIAL = auto()
    ENCRYPTED = auto()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive, folders excepted.

    Attributes:
        name: as the archive spells it; may leave the archive, or hold bytes that are no UTF-8.
        target: of a link, relative to the root of the archive, or absolute.
    """

    name: str
    kind: Kind
    size: int = 0
    signature: str | None = None
    target: str = ""


class Container(Protocol):
    """An archive file, opened by `members` and kept open for `read`."""

    shown: str

    def members(self) -> Sequence[Member]:
        """Open the archive afresh and list it; of equal names the last one counts."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a member that `members` listed."""

    def close(self) -> None:
        """Release what is open; safe to call twice."""


class ArchiveSource:
    """Lists an archive in the order of the paths."""

    def __init__(
        self,
        name: str,
        metadata: Mapping[str, Json],
        container: Container,
        path_filter: PathFilter,
        *,
        guard: Guard | None = None,
    ) -> None:
        """Keep where the archive is; `entries` opens it.

        Opening it and each read of a member go through the guard, which one that is on this machine does not need.
        """
        self.name = name
        self.metadata = metadata
        self._container = container
        self._filter = path_filter
        self._guard = guard
        self._members: dict[str, Member] | None = None
        self._lock = threading.Lock()
        # The port has no close: the archive is closed with the source, before its file is collected.
        weakref.finalize(self, container.close)

    def entries(self) -> Iterator[SourceEntry]:
        """List the documents; see the port.

        Raises:
            SourceUnavailable: the archive is missing, damaged, or holds too many members.
            CircuitOpen: the store that it lies in failed too often a moment ago.
        """
        members = self._open()
        for path, member in members.items():
            yield self._entry(path, member)

    def read(self, entry: SourceEntry, limit: int) -> bytes:
        """Return the content of an entry; see the port.

        Raises:
            DocumentError: it is not in the archive any more, is damaged, or is larger than `limit`.
            SourceUnavailable: the archive is missing or damaged as a whole, or the store that it lies in does not answer.
            CircuitOpen: that store failed too often a moment ago.
        """
        if entry.problem is not None:
            raise entry.problem
        members = self._members if self._members is not None else self._open()
        member = members.get(entry.path)
        if member is None or not isinstance(found := self._resolve(member), Member):
            raise DocumentError(Reason.UNREADABLE, "vanished since it was listed")
        return self._call(lambda: self._container.read(found.name, limit))

    def _call(self, work: Callable[[], T]) -> T:
        def explained() -> T:
            with self._lock, source_errors(self.name, self._container.shown):
                return work()

        return self._guard.call(explained, repeatable=is_worth_repeating) if self._guard else explained()

    def _open(self) -> dict[str, Member]:
        listed = {member.name: member for member in self._call(self._container.members)}
        if len(listed) > MAX_MEMBERS:
            raise SourceUnavailable(
                f"source {self.name!r}: {self._container.shown} holds more than {MAX_MEMBERS:,} members"
            )
        self._by_name = {posixpath.normpath(name): member for name, member in listed.items()}
        inner = {name: _inner_path(name) for name in listed}
        paths = unique_names(inner.values())
        taken = {paths[inner[name]]: member for name, member in listed.items()}
        self._members = {path: taken[path] for path in sorted(taken) if self._filter.takes(path)}
        return self._members

    def _entry(self, path: str, member: Member) -> SourceEntry:
        found = self._resolve(member)
        if isinstance(found, DocumentError):
            return SourceEntry(self.name, path, problem=found)
        return SourceEntry(self.name, path, found.size, found.signature)

    def _resolve(self, member: Member) -> Member | DocumentError:  # noqa: PLR0911 - a table of kinds
        """Return the file that a member is or leads to, or why there is none."""
        if _leaves(member.name):
            return DocumentError(Reason.LINK_OUTSIDE_ROOT, "its name leaves the archive")
        for _ in range(_MAX_LINKS):
            if member.kind is Kind.FILE:
                return member
            if member.kind is Kind.ENCRYPTED:
                return DocumentError(Reason.ENCRYPTED, "a member that is protected by a password")
            if member.kind is Kind.SPECIAL:
                return DocumentError(Reason.SPECIAL_FILE, "a device or a pipe, no document")
            target = posixpath.normpath(member.target)
            if _leaves(target):
                return DocumentError(Reason.LINK_OUTSIDE_ROOT, "a link that leaves the archive")
            if target not in self._by_name:
                return self._problem_of_missing(target)
            member = self._by_name[target]
        return DocumentError(Reason.DANGLING_LINK, "a link that leads to itself")

    def _problem_of_missing(self, target: str) -> DocumentError:
        if target == "." or any(name.startswith(target + "/") for name in self._by_name):
            return DocumentError(Reason.LINK_TO_FOLDER, "links to folders are not followed")
        return DocumentError(Reason.DANGLING_LINK, "a link that leads nowhere")


def _leaves(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")


def _inner_path(name: str) -> str:
    """Return a path that stays below the root, and differs for different names."""
    if not _leaves(name):
        return posixpath.normpath(name)
    parts = [part.replace("..", "%2E%2E") if part == ".." else part for part in name.split("/") if part]
    return "/".join(parts)
