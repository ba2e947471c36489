"""Calls into Qdrant Edge, its errors translated, and what it says of itself verified."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines_persistence.adapters.qdrant.names import DENSE, SPARSE, field_path
from pipelines_persistence.adapters.qdrant_edge.files import holes, require_space
from pipelines_persistence.adapters.qdrant_edge.models import (
    engine_config,
    index_schema,
    index_word,
)
from pipelines_persistence.errors import PipelinesError, StorageError, StoreError, StoreUnavailable
from pipelines_persistence.records import CollectionSpec, IndexedType

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard

LOAD_BYTES = 2 * 2**20
"""Room that opening and closing needs: the engine rewrites its configuration, and replays its log after a crash."""

CREATE_BYTES = 16 * 2**20

_STORAGE_WORDS = (
    "No space left",
    "Permission denied",
    "Read-only file system",
    "File too large",
    "Disk quota",
)


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Translate what the engine raises: bare exceptions, and panics that are no `Exception`."""
    try:
        yield
    except PipelinesError:
        raise
    except Exception as error:
        raise _translated(doing, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise _translated(doing, error) from error


def _translated(doing: str, error: BaseException) -> PipelinesError:
    text = str(error)
    if any(words in text for words in _STORAGE_WORDS):
        return StorageError(f"{doing}: {text}: free space or grant access, or set PIPELINES_HOME elsewhere")
    if "WouldBlock" in text:
        return StoreUnavailable(
            f"{doing}: another program has the files open without taking the lock: close it"
        )
    return StoreError(f"{doing}: {text}")


def create_shard(path: Path, spec: CollectionSpec) -> "EdgeShard":
    """Make an empty shard in a folder that does not exist yet."""
    from qdrant_edge import EdgeShard

    require_space(path.parent, CREATE_BYTES)
    path.mkdir()
    with engine_errors(f"creating {path.parent.name!r}"):
        return EdgeShard.create(str(path), engine_config(spec))


def load_shard(path: Path, spec: CollectionSpec | None = None) -> "EdgeShard":
    """Open a shard, under `spec` where its configuration is to change. Only ever call this under the lock."""
    from qdrant_edge import EdgeShard

    # To have vectors in memory the engine touches every page, holes too; on a tmpfs that takes their space.
    touched = sum(holes(vectors) for vectors in path.glob(f"segments/*/vector_storage-{DENSE}"))
    require_space(path.parent, touched + LOAD_BYTES)
    with engine_errors(f"opening {path.parent.name!r}"):
        return EdgeShard.load(str(path), None if spec is None else engine_config(spec))


def close_shard(shard: "EdgeShard", name: str) -> None:
    """Flush and close, the second even where the first fails."""
    with engine_errors(f"closing {name!r}"):
        try:
            shard.flush()
        finally:
            shard.close()


def align_indexes(shard: "EdgeShard", spec: CollectionSpec) -> None:
    """Make the payload indexes what the specification says."""
    from qdrant_edge import UpdateOperation

    wanted = {field_path(key): index_schema(spec, key, word) for key, word in spec.payload_indexes.items()}
    words = {field_path(key): word for key, word in spec.payload_indexes.items()}
    present, tenants = reported_indexes(shard), reported_tenants(shard)
    for path in present.keys() - wanted.keys():
        shard.update(UpdateOperation.delete_field_index(path))
    for path, schema in wanted.items():
        is_tenant = path in tenants
        if present.get(path) != words[path] or is_tenant != _is_tenant(spec, path):
            shard.update(UpdateOperation.create_field_index(path, schema))
    shard.flush()


def reported_indexes(shard: "EdgeShard") -> dict[str, IndexedType]:
    """Path of a payload field, in the engine's notation, to the type of its index."""
    return {key: index_word(index.data_type) for key, index in shard.info().payload_schema.items()}


def indexed_dense_vectors(shard: "EdgeShard", spec: CollectionSpec) -> int:
    """How many dense vectors are in the graph: the engine counts the sparse ones with them."""
    from qdrant_edge import CountRequest, Filter, HasVectorCondition

    indexed = shard.info().indexed_vectors_count
    if not spec.sparse:
        return indexed
    sparse = shard.count(CountRequest(exact=True, filter=Filter(must=[HasVectorCondition(SPARSE)])))
    return max(0, indexed - sparse)


def reported_tenants(shard: "EdgeShard") -> set[str]:
    """Paths of the payload fields that divide the shard."""
    indexes = shard.info().payload_schema.items()
    return {path for path, index in indexes if getattr(index.params, "is_tenant", False)}


def _is_tenant(spec: CollectionSpec, path: str) -> bool:
    return bool(spec.tenant) and path == field_path(spec.tenant)


def verify(shard: "EdgeShard", path: Path, spec: CollectionSpec) -> None:
    """Compare what the engine reports, and what it wrote down, with what was asked for.

    Raises:
        StoreError: they differ; says in what.
    """
    reported = json.loads((path / "edge_config.json").read_bytes())
    found = _summary(reported, reported_indexes(shard)) | {"tenant": reported_tenants(shard)}
    wanted = {
        "dimension": spec.dimension,
        "distance": spec.distance.value,
        "quantization": spec.quantization,
        "on_disk": spec.on_disk,
        "hnsw": (spec.hnsw.m, spec.hnsw.ef_construct, spec.hnsw.full_scan_threshold),
        "payload_indexes": {field_path(key): word for key, word in spec.payload_indexes.items()},
        "sparse": "idf" if spec.sparse else None,
        "tenant": {field_path(spec.tenant)} if spec.tenant else set(),
    }
    for key, value in wanted.items():
        if found[key] != value:
            raise StoreError(
                f"{path.parent.name!r}: the engine made {key} {found[key]!r} where {value!r} was asked for"
            )


def _summary(reported: dict[str, Any], indexes: dict[str, IndexedType]) -> dict[str, object]:
    dense, hnsw = reported["vectors"][DENSE], reported["hnsw_config"]
    scalar = (dense.get("quantization_config") or {}).get("scalar", {})
    return {
        "dimension": dense["size"],
        "distance": dense["distance"].lower(),
        "quantization": scalar.get("type", "none"),
        "on_disk": dense.get("memory") == "cold",
        "hnsw": (hnsw["m"], hnsw["ef_construct"], hnsw["full_scan_threshold"]),
        "payload_indexes": indexes,
        "sparse": reported.get("sparse_vectors", {}).get(SPARSE, {}).get("modifier"),
    }
