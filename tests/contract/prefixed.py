"""A vector store on a server that others use as well: whatever a test makes has a prefix of its own, and is removed."""

import contextlib
from dataclasses import replace

from qdrant_client import grpc as wire

from pipelines_persistence.adapters.qdrant.names import is_name


class Prefixed:
    """Implements `ports.VectorStore` over another one, of which it sees only the names that have the prefix."""

    def __init__(self, store, prefix):
        self._store = store
        self._prefix = prefix

    def __getattr__(self, method):
        """Return a method whose first argument is a name."""
        inner = getattr(self._store, method)
        return lambda name, *rest, **options: self._plain(inner(self._full(name), *rest, **options))

    def point_alias(self, alias, collection):
        self._store.point_alias(self._full(alias), self._full(collection))

    def collections(self):
        return [self._short(name) for name in self._store.collections() if name.startswith(self._prefix)]

    def aliases(self):
        pairs = self._store.aliases().items()
        return {self._short(a): self._short(c) for a, c in pairs if a.startswith(self._prefix)}

    def close(self):
        self._store.close()

    def remove_everything(self):
        for alias in self.aliases():
            gone = wire.AliasOperations(delete_alias=wire.DeleteAlias(alias_name=self._prefix + alias))
            request = wire.ChangeAliases(actions=[gone])
            self._store._connection.call("Collections/UpdateAliases", request, "tidying up")
        for collection in self.collections():
            for snapshot in self._store.snapshots(self._prefix + collection):
                self._store.delete_snapshot(self._prefix + collection, snapshot.name)
            self._store.drop(self._prefix + collection)

    def _full(self, name):
        full = self._prefix + name
        return full if is_name(name) and is_name(full) else name

    def _short(self, name):
        return name.removeprefix(self._prefix)

    def _plain(self, result):
        if isinstance(result, list):
            return [self._plain(each) for each in result]
        # A snapshot has a name of the server's own, and that of its collection beside it.
        word = "collection" if hasattr(result, "collection") else "name"
        with contextlib.suppress(TypeError, AttributeError):
            return replace(result, **{word: self._short(getattr(result, word))})
        return result
