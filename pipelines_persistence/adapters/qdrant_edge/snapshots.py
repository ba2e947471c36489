"""Copies of collections, in folders beside them.

A copy is all that a collection's folder is: moved to `collections/NAME`, while nobody has that collection, it is one again.
"""

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path

from pipelines_persistence.adapters.qdrant.names import not_found
from pipelines_persistence.adapters.qdrant_edge.access import Access
from pipelines_persistence.adapters.qdrant_edge.files import (
    copy_folder,
    require_space,
    size_on_disk,
    storage_errors,
    sync_directory,
)
from pipelines_persistence.errors import StoreError
from pipelines_persistence.records import SnapshotInfo

_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_MARGIN = 16 * 2**20


class Snapshots:
    """The folder `snapshots/COLLECTION/COLLECTION-MOMENT` of each copy."""

    def __init__(self, access: Access, root: Path) -> None:
        self._access = access
        self._root = root

    def make(self, name: str) -> SnapshotInfo:
        """Copy a collection, closed and under its lock; a crash leaves no half of a copy under its name.

        Raises:
            IndexNotFound: there is no such collection.
            StorageError: the disk is full, or the copy cannot be written.
        """
        with self._access.using(name) as opened:
            # Flushed, and nothing is left to the engine's threads.
            self._access.handle(opened.name).close_shard()
            target = self._root / opened.name / f"{opened.name}-{datetime.now(UTC).strftime(_MOMENT)}"
            with storage_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                require_space(target.parent, size_on_disk(opened.folder) + _MARGIN)
                _copy_whole(opened.folder, target)
        return _info(target)

    def of(self, name: str) -> list[SnapshotInfo]:
        """The copies of a collection, the newest first.

        Raises:
            IndexNotFound: there is no such collection, and no copy of one.
        """
        return sorted(map(_info, self._folders(name)), key=lambda snapshot: snapshot.name, reverse=True)

    def remove(self, name: str, snapshot: str) -> None:
        """Remove a copy, out of sight first; nothing happens if there is none."""
        for folder in self._folders(name):
            if folder.name == snapshot:
                hidden = folder.with_name(f".{uuid.uuid4().hex}")
                with storage_errors(folder):
                    folder.replace(hidden)
                    shutil.rmtree(hidden)

    def _folders(self, name: str) -> list[Path]:
        collection = self._access.registry.aliases().get(name, name)
        folder = self._root / self._access.registry.folder(collection).name
        if self._access.registry.sidecar(collection) is None and not folder.exists():
            raise not_found(name)
        return [path for path in folder.glob(f"{collection}-*") if (path / "collection.json").exists()]


def _copy_whole(source: Path, target: Path) -> None:
    partial = target.with_name(f".{uuid.uuid4().hex}")
    try:
        copy_folder(source, partial)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sync_directory(target.parent)


def _info(folder: Path) -> SnapshotInfo:
    collection = folder.parent.name
    try:
        moment = datetime.strptime(folder.name.removeprefix(f"{collection}-"), _MOMENT).replace(tzinfo=UTC)
    except ValueError as error:
        raise StoreError(f"{folder} has no name of a snapshot: move it away") from error
    return SnapshotInfo(folder.name, collection, size_on_disk(folder), moment)
