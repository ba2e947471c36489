"""Our records to the engine's types and back."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines_persistence.errors import StoreError
from pipelines_persistence.records import (
    CollectionSpec,
    Hit,
    HnswSpec,
    IndexedType,
    Payload,
    Scalar,
    StoredPoint,
)

if TYPE_CHECKING:
    import numpy as np
    import qdrant_edge as edge
    from numpy.typing import NDArray

DENSE = "dense"
"""The name of the vector: named, so that a sparse one can stand beside it."""

INDEX_WORDS: tuple[IndexedType, ...] = (
    "keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo",
)  # fmt: skip

EXACT_INTEGERS = 2**51
"""Below, a float and the two next to it still tell neighbouring integers apart."""

_PLAIN_PATH = re.compile(r"[\w-]+(\[\d*\])*(\.[\w-]+(\[\d*\])*)*")


def engine_config(spec: CollectionSpec) -> "edge.EdgeConfig":
    """Translate a specification; every value is given, since the engine keeps the old one where it is not."""
    import qdrant_edge as edge

    dense = edge.EdgeVectorParams(
        size=spec.dimension,
        distance=getattr(edge.Distance, spec.distance.value.capitalize()),
        memory=edge.Memory.Cold if spec.on_disk else edge.Memory.Cached,
        quantization_config=_quantization(spec),
    )
    return edge.EdgeConfig(vectors={DENSE: dense}, hnsw_config=_hnsw(spec.hnsw), wal_enabled=True)


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


def index_type(word: IndexedType) -> "edge.PayloadSchemaType":
    """Translate the port's word for an index type."""
    from qdrant_edge import PayloadSchemaType

    kind: edge.PayloadSchemaType = getattr(PayloadSchemaType, word.capitalize())
    return kind


def index_word(kind: "edge.PayloadSchemaType") -> IndexedType:
    """Translate back."""
    return next(word for word in INDEX_WORDS if index_type(word) == kind)


def field_path(key: str) -> str:
    """Return a payload key in the engine's notation, where a dot descends into a nested mapping.

    Raises:
        StoreError: no notation exists for this key.
    """
    if _PLAIN_PATH.fullmatch(key):
        return key
    if not key or '"' in key or "\\" in key:
        raise StoreError(f"payload field {key!r} cannot be filtered or indexed: rename it")
    return f'"{key}"'


def by_port_key(indexes: Mapping[str, IndexedType], spec: CollectionSpec) -> dict[str, IndexedType]:
    """Return reported indexes under the keys of the specification instead of the engine's paths."""
    keys = {field_path(key): key for key in spec.payload_indexes}
    return {keys.get(path, path): word for path, word in sorted(indexes.items())}


def engine_filter(where: Mapping[str, Scalar] | None) -> "edge.Filter | None":
    """All values must be there; in a list, any element may be the one."""
    import qdrant_edge as edge

    if not where:
        return None
    return edge.Filter(must=[_condition(field_path(key), value) for key, value in where.items()])


def _condition(path: str, value: Scalar) -> "edge.FieldCondition":
    import qdrant_edge as edge

    if isinstance(value, bool):
        import numpy as np

        # The binding tries int before bool and makes True a 1, which matches no boolean; numpy's it cannot mistake.
        return edge.FieldCondition(path, match=edge.MatchValue(np.bool_(value)))  # type: ignore[arg-type]
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < EXACT_INTEGERS):
        # A match takes no float, and by a range 1 equals 1.0, whichever of the two was stored. The engine reads
        # floats back from its storage with an error of up to one unit in the last place.
        low, high = math.nextafter(value, -math.inf), math.nextafter(value, math.inf)
        return edge.FieldCondition(path, range=edge.RangeFloat(gte=low, lte=high))
    return edge.FieldCondition(path, match=edge.MatchValue(value))


def engine_points(
    ids: Sequence[str], vectors: "NDArray[np.float32]", payloads: Sequence[Payload]
) -> "list[edge.Point]":
    """Translate rows that were checked; one `tolist` for the whole matrix is what makes this fast."""
    from qdrant_edge import Point

    return [
        Point(identifier, {DENSE: row}, payload)
        for identifier, row, payload in zip(ids, vectors.tolist(), payloads, strict=True)
    ]


def search_request(
    vector: Sequence[float], limit: int, where: Mapping[str, Scalar] | None, spec: CollectionSpec
) -> "edge.QueryRequest":
    """Ask for the nearest points; after a search in the compressed copy the originals decide the order."""
    import qdrant_edge as edge

    compressed = spec.quantization != "none"
    rescoring = edge.QuantizationSearchParams(rescore=True, oversampling=2.0) if compressed else None
    return edge.QueryRequest(
        limit=limit,
        query=edge.Query.Nearest(list(vector), using=DENSE),
        filter=engine_filter(where),
        params=edge.SearchParams(quantization=rescoring),
        with_payload=True,
        with_vector=False,
    )


def hit(point: "edge.ScoredPoint") -> Hit:
    """Translate a result of a search."""
    return Hit(id=str(point.id), score=point.score, payload=point.payload or {})


def stored_point(record: "edge.Record") -> StoredPoint:
    """Translate a point as it stands in the store."""
    return StoredPoint(id=str(record.id), payload=record.payload or {}, vector=_vector(record.vector))


def _vector(named: Any) -> "NDArray[np.float32] | None":  # noqa: ANN401 - the binding's union of five shapes
    import numpy as np

    return np.asarray(named[DENSE], dtype=np.float32) if named else None
