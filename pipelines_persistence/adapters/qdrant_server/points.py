"""Points to the wire and back.

A vector of 384 numbers as a list costs more than all the rest of a write. On the wire it is its own memory, little-endian
float32, behind a header that is the same for each point: so a request is put together from bytes.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.qdrant.names import DENSE, SPARSE
from pipelines_persistence.adapters.qdrant_server.payloads import encoded_fields, read_fields, varint
from pipelines_persistence.records import Hit, Points, SparseVector, StoredPoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qdrant_client import grpc as wire

_POINT = b"\x1a"  # UpsertPoints.points
_UUID = b"\x0a\x26\x12\x24"  # PointStruct.id, 38 bytes: PointId.uuid, 36 bytes
_PAYLOAD = b"\x1a"  # PointStruct.payload
_VECTORS, _NAMED = b"\x22", b"\x12"  # PointStruct.vectors, Vectors.vectors


def encoded(collection: str, points: Points, rows: slice) -> bytes:
    """Return the request that writes some rows and waits for it: a serialized `qdrant.UpsertPoints`.

    Args:
        collection: its name.
        points: checked; vectors of shape (n, dimension), float32.
        rows: which of them.
    """
    from qdrant_client import grpc as wire

    parts = [wire.UpsertPoints(collection_name=collection, wait=True).SerializeToString()]
    each = zip(points.ids[rows], points.payloads[rows], _vectors(points, rows), strict=True)
    for identifier, payload, vectors in each:
        point = b"".join((_UUID, identifier.encode(), encoded_fields(payload, _PAYLOAD), vectors))
        parts += (_POINT, varint(len(point)), point)
    return b"".join(parts)


def _vectors(points: Points, rows: slice) -> Iterator[bytes]:
    """Yield the vectors of each point, as the field of a `qdrant.PointStruct`."""
    matrix = points.vectors[rows].astype("<f4", copy=False)
    size = matrix.shape[1] * matrix.itemsize
    raw, dense = matrix.tobytes(), _dense_header(size)
    plain = _vectors_header(len(dense) + size) + dense
    for row in range(len(matrix)):
        numbers = raw[row * size : (row + 1) * size]
        if points.sparse is None:
            yield plain + numbers
            continue
        sparse = _sparse_entry(points.sparse[rows][row])
        yield b"".join((_vectors_header(len(dense) + size + len(sparse)), dense, numbers, sparse))


def _dense_header(size: int) -> bytes:
    """Return the bytes of the entry of the dense vector up to its numbers, which take `size` bytes."""
    from qdrant_client import grpc as wire

    named = wire.NamedVectors()
    named.vectors[DENSE].dense.MergeFromString(b"\x0a" + varint(size) + bytes(size))
    data: bytes = named.SerializeToString()
    return data[:-size]


def _sparse_entry(vector: SparseVector) -> bytes:
    from qdrant_client import grpc as wire

    sparse = wire.SparseVector(values=vector.values, indices=vector.indices)
    data: bytes = wire.NamedVectors(vectors={SPARSE: wire.Vector(sparse=sparse)}).SerializeToString()
    return data


def _vectors_header(entries: int) -> bytes:
    """Return what comes before the entries of the vectors of a point, which take so many bytes."""
    named = _NAMED + varint(entries)
    return _VECTORS + varint(len(named) + entries) + named


def stored_point(point: "wire.RetrievedPoint") -> StoredPoint:
    """Translate a point as it stands in the store."""
    vectors = point.vectors.vectors.vectors
    return StoredPoint(
        id=point.id.uuid,
        payload=read_fields(point.payload),
        vector=_dense(vectors[DENSE]) if DENSE in vectors else None,
        sparse=_sparse(vectors[SPARSE]) if SPARSE in vectors else None,
    )


def hit(point: "wire.ScoredPoint") -> Hit:
    """Translate a result of a search."""
    return Hit(id=point.id.uuid, score=point.score, payload=read_fields(point.payload))


def _dense(vector: "wire.VectorOutput") -> "NDArray[np.float32]":
    import numpy as np

    # Servers before 1.16 fill the field that is deprecated by now.
    return np.array(vector.dense.data or vector.data, np.float32)


def _sparse(vector: "wire.VectorOutput") -> SparseVector:
    if vector.HasField("sparse"):
        return SparseVector([*vector.sparse.indices], [*vector.sparse.values])
    return SparseVector([*vector.indices.data], [*vector.data])
