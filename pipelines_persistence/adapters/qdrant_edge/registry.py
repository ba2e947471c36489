"""Which collections and aliases there are: small JSON files, each whole at any moment."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from pipelines_persistence.adapters.qdrant.names import is_name, require_name
from pipelines_persistence.adapters.qdrant_edge.files import storage_errors, sync_directory, write_atomically
from pipelines_persistence.adapters.qdrant_edge.locks import ProcessLock, ThreadLock
from pipelines_persistence.errors import StoreError, StoreUnavailable
from pipelines_persistence.records import CollectionSpec

FORMAT = 1


class Aliases(msgspec.Struct, frozen=True):
    """The content of `registry.json`."""

    aliases: dict[str, str]
    format: int = FORMAT


class Sidecar(msgspec.Struct, frozen=True):
    """The content of `collection.json`.

    Attributes:
        applied: false while a changed specification is brought to the engine, and after a crash in it.
    """

    spec: CollectionSpec
    applied: bool
    format: int = FORMAT


Content = TypeVar("Content", Aliases, Sidecar)


class Registry:
    """The folder of a store."""

    def __init__(self, root: Path, lock_timeout: float, on_wait: Callable[[str], None] | None) -> None:
        self.root = root
        self._timeout = lock_timeout
        self._threads = ThreadLock()
        self._processes = ProcessLock(root / "locks" / "@registry", lock_timeout, on_wait)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing what there is. Taken before a collection's lock, never after."""
        if not self._threads.acquire(self._timeout):
            raise StoreUnavailable(
                f"another thread changes the collections for longer than {self._timeout:g} s"
            )
        try:
            self._processes.acquire()
            try:
                yield
            finally:
                if self._threads.depth == 1:
                    self._processes.release()
        finally:
            self._threads.release()

    def folder(self, collection: str) -> Path:
        """Where a collection lies, whether or not it exists."""
        require_name(collection)
        return self.root / "collections" / collection

    def aliases(self) -> dict[str, str]:
        """Alias to collection."""
        content = _read(self.root / "registry.json", Aliases)
        return content.aliases if content else {}

    def write_aliases(self, aliases: dict[str, str]) -> None:
        """Replace all aliases in one step; under the lock."""
        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        write_atomically(self.root / "registry.json", msgspec.json.encode(Aliases(aliases)))

    def sidecar(self, collection: str) -> Sidecar | None:
        """What a collection was asked to be; None means that there is no such collection."""
        return _read(self.folder(collection) / "collection.json", Sidecar)

    def find(self, collection: str) -> Sidecar | None:
        """As `sidecar`, for names that may not even be names."""
        return self.sidecar(collection) if is_name(collection) else None

    def write_sidecar(self, collection: str, spec: CollectionSpec, *, applied: bool) -> None:
        """Say what a collection is: from now on it exists."""
        folder = self.folder(collection)
        plain = replace(spec, payload_indexes=dict(spec.payload_indexes))
        write_atomically(folder / "collection.json", msgspec.json.encode(Sidecar(plain, applied)))
        with storage_errors(folder):
            sync_directory(folder.parent)

    def collections(self) -> list[str]:
        """The names of the collections, sorted; a folder left by a crash is none."""
        found = (path.parent.name for path in self.root.glob("collections/*/collection.json"))
        return sorted(found)

    def discard(self, collection: str) -> None:
        """Remove a collection's folder: out of the way first, in one step, and then file by file."""
        folder, trash = self.folder(collection), self.root / "trash"
        with storage_errors(folder):
            trash.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                folder.replace(trash / f"{collection}.{uuid.uuid4().hex}")
                sync_directory(folder.parent)
            shutil.rmtree(trash, ignore_errors=True)


def _read(path: Path, kind: type[Content]) -> Content | None:
    with storage_errors(path):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"{path} is damaged ({error}): restore it from a backup, or drop and ingest again"
        ) from error
