"""Our records to the engine's types and back."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines_persistence.adapters.qdrant.names import DENSE, SPARSE, field_path
from pipelines_persistence.records import (
    CollectionSpec,
    FacetValue,
    Hit,
    HnswSpec,
    IndexedType,
    Points,
    SparseVector,
    StoredPoint,
)

if TYPE_CHECKING:
    import numpy as np
    import qdrant_edge as edge
    from numpy.typing import NDArray

INDEX_WORDS: tuple[IndexedType, ...] = (
    "keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo",
)  # fmt: skip


def engine_config(spec: CollectionSpec) -> "edge.EdgeConfig":
    """Translate a specification; every value is given, since the engine keeps the old one where it is not."""
    import qdrant_edge as edge

    dense = edge.EdgeVectorParams(
        size=spec.dimension,
        distance=getattr(edge.Distance, spec.distance.value.capitalize()),
        memory=edge.Memory.Cold if spec.on_disk else edge.Memory.Cached,
        quantization_config=_quantization(spec),
    )
    sparse = {SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)} if spec.sparse else None
    return edge.EdgeConfig(
        vectors={DENSE: dense}, sparse_vectors=sparse, hnsw_config=_hnsw(spec.hnsw), wal_enabled=True
    )


def _quantization(spec: CollectionSpec) -> "edge.ScalarQuantizationConfig | None":
    import qdrant_edge as edge

    if spec.quantization == "none":
        return None
    return edge.ScalarQuantizationConfig(type=edge.ScalarType.Int8, quantile=0.99, memory=edge.Memory.Pinned)


def _hnsw(spec: HnswSpec) -> "edge.HnswIndexConfig":
    import qdrant_edge as edge

    memory = {None: None, True: edge.Memory.Cold, False: edge.Memory.Cached}[spec.on_disk]
    return edge.HnswIndexConfig(
        m=spec.m,
        ef_construct=spec.ef_construct,
        full_scan_threshold=spec.full_scan_threshold,
        memory=memory,
    )


def index_schema(
    spec: CollectionSpec, key: str, word: IndexedType
) -> "edge.PayloadSchemaType | edge.KeywordIndexParams":
    """What the engine is asked for as the index of a payload field."""
    import qdrant_edge as edge

    return edge.KeywordIndexParams(is_tenant=True) if key == spec.tenant else index_type(word)


def index_type(word: IndexedType) -> "edge.PayloadSchemaType":
    """Translate the port's word for an index type."""
    from qdrant_edge import PayloadSchemaType

    kind: edge.PayloadSchemaType = getattr(PayloadSchemaType, word.capitalize())
    return kind


def index_word(kind: "edge.PayloadSchemaType") -> IndexedType:
    """Translate back."""
    return next(word for word in INDEX_WORDS if index_type(word) == kind)


def by_port_key(indexes: Mapping[str, IndexedType], spec: CollectionSpec) -> dict[str, IndexedType]:
    """Return reported indexes under the keys of the specification instead of the engine's paths."""
    keys = {field_path(key): key for key in spec.payload_indexes}
    return {keys.get(path, path): word for path, word in sorted(indexes.items())}


def engine_points(points: Points) -> "list[edge.Point]":
    """Translate rows that were checked; one `tolist` for the whole matrix is what makes this fast."""
    from qdrant_edge import Point

    dense = points.vectors.tolist()
    vectors: list[dict[str, edge.NamedVector]] = [{DENSE: row} for row in dense]
    for named, sparse in zip(vectors, points.sparse or (), strict=points.sparse is not None):
        named[SPARSE] = engine_sparse(sparse)
    return [
        Point(identifier, named, payload)
        for identifier, named, payload in zip(points.ids, vectors, points.payloads, strict=True)
    ]


def engine_sparse(vector: SparseVector) -> "edge.SparseVector":
    """Translate a sparse vector that was checked."""
    import qdrant_edge as edge

    return edge.SparseVector([*vector.indices], [*vector.values])


def hit(point: "edge.ScoredPoint") -> Hit:
    """Translate a result of a search."""
    return Hit(id=str(point.id), score=point.score, payload=point.payload or {})


def stored_point(record: "edge.Record") -> StoredPoint:
    """Translate a point as it stands in the store."""
    named: Any = record.vector or {}  # the binding's union of five shapes
    return StoredPoint(
        id=str(record.id),
        payload=record.payload or {},
        vector=_dense(named[DENSE]) if named else None,
        sparse=_sparse(named[SPARSE]) if SPARSE in named else None,
    )


def _dense(row: Sequence[float]) -> "NDArray[np.float32]":
    import numpy as np

    return np.asarray(row, dtype=np.float32)


def _sparse(vector: "edge.SparseVector") -> SparseVector:
    return SparseVector(vector.indices, vector.values)


def facet_value(hit: "edge.FacetHit") -> FacetValue:
    """Translate a value and its count."""
    return FacetValue(hit.value, hit.count)
