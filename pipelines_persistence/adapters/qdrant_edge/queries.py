"""Our queries to the engine's."""

from typing import TYPE_CHECKING, Any

from pipelines_persistence.adapters.qdrant.names import DENSE, field_path
from pipelines_persistence.adapters.qdrant.ranking import Side
from pipelines_persistence.adapters.qdrant_edge.conditions import engine_filter
from pipelines_persistence.adapters.qdrant_edge.models import engine_sparse
from pipelines_persistence.errors import StoreError
from pipelines_persistence.filters import Where
from pipelines_persistence.records import CollectionSpec

if TYPE_CHECKING:
    import qdrant_edge as edge

_FACETS = ("keyword", "integer", "bool", "uuid")


def query_request(side: Side, spec: CollectionSpec) -> "edge.QueryRequest":
    """Translate a ranking by one vector."""
    import qdrant_edge as edge

    return edge.QueryRequest(
        limit=side.window,
        query=edge.Query.Nearest(_nearest(side), using=side.using),
        filter=engine_filter(side.asked.query.where),
        params=_params(spec),
        with_payload=side.with_payload,
    )


def _nearest(side: Side) -> Any:  # noqa: ANN401 - the binding's union of vectors
    if side.using == DENSE:
        return side.asked.dense
    return None if side.asked.sparse is None else engine_sparse(side.asked.sparse)


def _params(spec: CollectionSpec) -> "edge.SearchParams":
    """After a search in the compressed copy the originals decide the order."""
    import qdrant_edge as edge

    compressed = spec.quantization != "none"
    rescoring = edge.QuantizationSearchParams(rescore=True, oversampling=2.0) if compressed else None
    return edge.SearchParams(quantization=rescoring)


def facet_request(key: str, limit: int, where: Where) -> "edge.FacetRequest":
    """Ask for the values of a field with their exact counts."""
    import qdrant_edge as edge

    return edge.FacetRequest(field_path(key), limit=max(limit, 0), exact=True, filter=engine_filter(where))


def require_facets(key: str, spec: CollectionSpec) -> None:
    """Refuse to count the values of a field that has no index for it.

    Raises:
        StoreError: it has none.
    """
    if spec.payload_indexes.get(key) not in _FACETS:
        raise StoreError(
            f"the values of {key!r} cannot be counted: give it a payload index of type {', '.join(_FACETS)}"
        )
