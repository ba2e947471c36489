"""Collections made, and brought to another specification, so that a crash in between is repaired by the next call."""

from pipelines_persistence.adapters.qdrant_edge import engine
from pipelines_persistence.adapters.qdrant_edge.files import storage_errors
from pipelines_persistence.adapters.qdrant_edge.registry import Registry
from pipelines_persistence.adapters.qdrant_edge.shard import ShardHandle
from pipelines_persistence.errors import StoreError
from pipelines_persistence.records import CollectionSpec


def ensure(registry: Registry, handle: ShardHandle, collection: str, spec: CollectionSpec) -> None:
    """Make a collection what it should be; the caller holds both locks.

    Raises:
        StoreError: it has another dimension or distance, or a sparse vector where none was asked for, or the other way round;
            or the tenant has no index of type keyword.
    """
    if spec.tenant and spec.payload_indexes.get(spec.tenant) != "keyword":
        raise StoreError(f"the tenant {spec.tenant!r} needs a payload index of type keyword: ask for one")
    present = registry.sidecar(collection)
    if present is None:
        _build(registry, handle, collection, spec)
        return
    for word in ("dimension", "distance", "sparse"):
        old, new = getattr(present.spec, word), getattr(spec, word)
        if old != new:
            raise StoreError(
                f"{collection!r} has the {word} {old}, not {new}: drop it, or create one of another name"
            )
    if not present.applied or present.spec != spec:
        _change(registry, handle, collection, spec)


def _build(registry: Registry, handle: ShardHandle, collection: str, spec: CollectionSpec) -> None:
    registry.discard(collection)  # what a crash left
    folder = registry.folder(collection)
    with storage_errors(folder):
        folder.mkdir(parents=True)
    handle.put(engine.create_shard(folder / "shard", spec))
    _settle(registry, handle, collection, spec)


def _change(registry: Registry, handle: ShardHandle, collection: str, spec: CollectionSpec) -> None:
    handle.close_shard()
    registry.write_sidecar(collection, spec, applied=False)
    handle.put(engine.load_shard(registry.folder(collection) / "shard", spec))
    _settle(registry, handle, collection, spec)


def _settle(registry: Registry, handle: ShardHandle, collection: str, spec: CollectionSpec) -> None:
    """Payload indexes, proof, and only then the word that the collection is there."""
    with engine.engine_errors(f"creating {collection!r}"):
        engine.align_indexes(handle.shard(), spec)
        engine.verify(handle.shard(), registry.folder(collection) / "shard", spec)
    handle.close_shard()
    registry.write_sidecar(collection, spec, applied=True)
