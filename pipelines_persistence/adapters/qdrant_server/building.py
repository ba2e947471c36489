"""Collections made, brought to another specification, and verified; a crash in between is repaired by the next call.

Two processes may do this at the same time: what the other one has made already is as good as made by oneself.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.qdrant.names import field_path
from pipelines_persistence.adapters.qdrant_server import specifications
from pipelines_persistence.adapters.qdrant_server.connection import Connection
from pipelines_persistence.adapters.qdrant_server.specifications import Standing
from pipelines_persistence.errors import IndexNotFound, StoreError
from pipelines_persistence.records import CollectionSpec

if TYPE_CHECKING:
    from qdrant_client import grpc as wire

_FIXED = ("dimension", "distance", "sparse", "shards")


def look(connection: Connection, name: str) -> "wire.CollectionInfo":
    """Return what the server knows of a collection.

    Raises:
        IndexNotFound: there is none.
    """
    from qdrant_client import grpc as wire

    request = wire.GetCollectionInfoRequest(collection_name=name)
    response: wire.GetCollectionInfoResponse = connection.call(
        "Collections/Get", request, f"looking at {name!r}", name
    )
    return response.result


def ensure(connection: Connection, collection: str, spec: CollectionSpec) -> None:
    """Make a collection what it should be.

    Raises:
        StoreError: it has another dimension, distance, sparse vector or number of shards; or the server made something
            else than was asked for; or the tenant has no index of type keyword.
    """
    if spec.tenant and spec.payload_indexes.get(spec.tenant) != "keyword":
        raise StoreError(f"the tenant {spec.tenant!r} needs a payload index of type keyword: ask for one")
    present = _found(connection, collection) or _made(connection, collection, spec)
    if fixed := next((word for word in _differences(present, spec) if word in _FIXED), None):
        raise StoreError(
            f"{collection!r} has the {fixed} {getattr(present, fixed)}, not {getattr(spec, fixed)}: "
            "drop it, or create one of another name"
        )
    if any(_differences(present, spec)):
        request = specifications.change(collection, spec)
        connection.call("Collections/Update", request, f"changing {collection!r}", collection)
    _align_indexes(connection, collection, present, spec)
    _verify(_standing(connection, collection), collection, spec)


def _standing(connection: Connection, collection: str) -> Standing:
    return specifications.standing(look(connection, collection))


def _found(connection: Connection, collection: str) -> Standing | None:
    try:
        return _standing(connection, collection)
    except IndexNotFound:
        return None


def _made(connection: Connection, collection: str, spec: CollectionSpec) -> Standing:
    request = specifications.creation(collection, spec)
    try:
        connection.call("Collections/Create", request, f"creating {collection!r}")
    except StoreError:
        # Another process was quicker, or an earlier attempt of ours whose answer was lost.
        present = _found(connection, collection)
        if present is None:
            raise
        return present
    return _standing(connection, collection)


def _align_indexes(connection: Connection, collection: str, present: Standing, spec: CollectionSpec) -> None:
    from qdrant_client import grpc as wire

    doing = f"indexing the payload of {collection!r}"
    wanted = {field_path(key): key for key in spec.payload_indexes}
    tenant = field_path(spec.tenant) if spec.tenant else ""
    # An index of another type is removed first; one of the same type is changed in its place.
    for path in {
        path
        for path, kind in present.indexes.items()
        if kind != spec.payload_indexes.get(wanted.get(path, ""))
    }:
        request = wire.DeleteFieldIndexCollection(collection_name=collection, wait=True, field_name=path)
        connection.call("Points/DeleteFieldIndex", request, doing, collection)
    for path, key in wanted.items():
        is_right = present.indexes.get(path) == spec.payload_indexes[key]
        if not is_right or (path in present.tenants) != (path == tenant):
            creation = specifications.index_creation(collection, key, spec)
            connection.call("Points/CreateFieldIndex", creation, doing, collection)


def _verify(found: Standing, collection: str, spec: CollectionSpec) -> None:
    for word in _differences(found, spec):
        raise StoreError(
            f"{collection!r}: the server made {word} {getattr(found, word)} where {getattr(spec, word)} was asked for: "
            "see whether its version or its cluster can do that"
        )
    wanted = {field_path(key): kind for key, kind in spec.payload_indexes.items()}
    tenants = {field_path(spec.tenant)} if spec.tenant else set()
    if found.indexes != wanted or found.tenants != tenants:
        raise StoreError(
            f"{collection!r}: the server made the payload indexes {dict(found.indexes)} (tenants: {sorted(found.tenants)}) "
            f"where {wanted} (tenants: {sorted(tenants)}) was asked for: run it again, or see the log of the server"
        )


def _differences(found: Standing, spec: CollectionSpec) -> Iterator[str]:
    """Yield the names of the fields in which a collection is not what was asked for; None asks for nothing."""
    for word in (*_FIXED, "quantization", "on_disk", "replicas", "write_consistency"):
        if getattr(spec, word) is not None and getattr(spec, word) != getattr(found, word):
            yield word
    for word in ("m", "ef_construct", "full_scan_threshold", "on_disk"):
        wanted = getattr(spec.hnsw, word)
        if wanted is not None and wanted != getattr(found.hnsw, word):
            yield "hnsw"
            return
