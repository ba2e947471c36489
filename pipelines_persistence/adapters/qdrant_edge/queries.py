"""Our queries to the engine's."""

from typing import TYPE_CHECKING, Any

from pipelines_persistence.adapters.qdrant.names import DENSE, SPARSE, field_path
from pipelines_persistence.adapters.qdrant.validation import checked_query, checked_sparse
from pipelines_persistence.adapters.qdrant_edge.conditions import engine_filter
from pipelines_persistence.adapters.qdrant_edge.models import engine_sparse
from pipelines_persistence.errors import StoreError
from pipelines_persistence.filters import Where
from pipelines_persistence.ports import Query
from pipelines_persistence.records import CollectionSpec

if TYPE_CHECKING:
    import qdrant_edge as edge

_FACETS = ("keyword", "integer", "bool", "uuid")


def query_request(query: Query, spec: CollectionSpec) -> "edge.QueryRequest":
    """Ask for the nearest points, by one vector or by the ranks that two of them give.

    Raises:
        StoreError: the query has no vector, or none of this collection.
    """
    import qdrant_edge as edge

    sides = _sides(query, spec)
    filter_, limit = engine_filter(query.where), max(query.limit, 0)
    if len(sides) == 1:
        return edge.QueryRequest(
            limit=limit, query=sides[0], filter=filter_, params=_params(spec), with_payload=True
        )
    prefetches = [
        edge.Prefetch(limit=max(query.candidates, 0), query=side, filter=filter_, params=_params(spec))
        for side in sides
    ]
    # The engine counts ranks from 0, and the port, as the paper does, from 1.
    fusion: Any = edge.Fusion.Rrf(k=query.rank_constant + 1)
    return edge.QueryRequest(limit=limit, query=fusion, prefetches=prefetches, with_payload=True)


def _sides(query: Query, spec: CollectionSpec) -> "list[edge.Query]":
    import qdrant_edge as edge

    sides = []
    if query.vector is not None:
        sides.append(edge.Query.Nearest(checked_query(query.vector, spec), using=DENSE))
    if query.sparse is not None:
        if not spec.sparse:
            raise StoreError("the collection has no sparse vectors: create one that has, and search there")
        sides.append(
            edge.Query.Nearest(engine_sparse(checked_sparse(query.sparse, "the query")), using=SPARSE)
        )
    if not sides:
        raise StoreError("the query has no vector: give a dense one, a sparse one, or both")
    return sides


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
