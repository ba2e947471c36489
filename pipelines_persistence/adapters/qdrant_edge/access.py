"""The way to an open shard: by name or alias, under its lock, in the process that made the store."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.qdrant.names import not_found
from pipelines_persistence.adapters.qdrant_edge.registry import Registry
from pipelines_persistence.adapters.qdrant_edge.shard import ShardHandle
from pipelines_persistence.errors import StoreError
from pipelines_persistence.records import CollectionSpec

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard


@dataclass(frozen=True, slots=True)
class Opened:
    """A collection, open and locked."""

    name: str
    folder: Path
    spec: CollectionSpec
    shard: "EdgeShard"


class Access:
    """Hands out collections; owns the locks."""

    def __init__(self, root: Path, lock_timeout: float, on_wait: Callable[[str], None] | None) -> None:
        self._root = root.absolute()
        self._lock_timeout = lock_timeout
        self._on_wait = on_wait
        self._pid = os.getpid()
        self._registry = Registry(self._root, lock_timeout, on_wait)
        self._handles: dict[str, ShardHandle] = {}
        self._handles_lock = Lock()

    @property
    def registry(self) -> Registry:
        """What there is.

        Raises:
            StoreError: this process is a fork of the one that made the store: the engine's threads are not in it.
        """
        if os.getpid() != self._pid:
            raise StoreError(
                "the vector store was made before this process was forked, and would hang: start processes with "
                "multiprocessing.get_context('spawn'), or make the store in the new process"
            )
        return self._registry

    def resolve(self, name: str) -> tuple[str, CollectionSpec]:
        """Return the collection that `name` is or stands for, and its specification.

        Raises:
            IndexNotFound: there is none.
        """
        collection = self.registry.aliases().get(name, name)
        sidecar = self.registry.find(collection)
        if sidecar is None:
            raise not_found(name)
        return collection, sidecar.spec

    @contextmanager
    def using(self, name: str) -> Iterator[Opened]:
        """Lock and open a collection for one call.

        Raises:
            IndexNotFound: there is none.
            StoreUnavailable: others keep it for longer than the time-out.
        """
        collection, _ = self.resolve(name)
        with self.handle(collection).locked():
            sidecar = self.registry.find(collection)
            if sidecar is not None:
                folder = self.registry.folder(collection)
                yield Opened(collection, folder, sidecar.spec, self.handle(collection).shard())
                return
        # It was dropped while we waited for the lock: the alias points elsewhere by now, or there is none.
        with self.using(name) as opened:
            yield opened

    @contextmanager
    def changing(self, collection: str) -> Iterator[ShardHandle]:
        """Lock the registry and then the collection, whether or not it exists."""
        self.registry.folder(collection)  # a name that is none is refused before a file is touched
        self.rest()
        with self.registry.locked(), self.handle(collection).locked():
            yield self.handle(collection)

    def handle(self, collection: str) -> ShardHandle:
        """Return the one handle of a collection in this store."""
        with self._handles_lock:
            if collection not in self._handles:
                self._handles[collection] = ShardHandle(
                    collection,
                    self._registry.folder(collection),
                    self._root / "locks",
                    self._lock_timeout,
                    self._on_wait,
                )
            return self._handles[collection]

    def rest(self) -> None:
        """Close what sessions left open, so that no collection's lock is held while the registry's is awaited."""
        if os.getpid() == self._pid:
            for handle in [*self._handles.values()]:
                handle.rest()
