"""Our queries to the server's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.qdrant.names import DENSE, SPARSE
from pipelines_persistence.adapters.qdrant.validation import checked_query, checked_sparse
from pipelines_persistence.adapters.qdrant_server.conditions import wire_filter
from pipelines_persistence.errors import StoreError
from pipelines_persistence.ports import Query
from pipelines_persistence.records import CollectionSpec, SparseVector

if TYPE_CHECKING:
    from qdrant_client import grpc as wire


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """A query of which the collection has the vectors.

    Attributes:
        dense: the components, or None.
    """

    query: Query
    dense: list[float] | None
    sparse: SparseVector | None


def checked(query: Query, spec: CollectionSpec) -> CheckedQuery:
    """Return a query that fits a collection.

    Raises:
        StoreError: it has no vector, or none of this collection.
    """
    if query.vector is None and query.sparse is None:
        raise StoreError("the query has no vector: give a dense one, a sparse one, or both")
    if query.sparse is not None and not spec.sparse:
        raise StoreError("the collection has no sparse vectors: create one that has, and search there")
    return CheckedQuery(
        query,
        None if query.vector is None else checked_query(query.vector, spec),
        None if query.sparse is None else checked_sparse(query.sparse, "the query"),
    )


def wire_query(name: str, asked: CheckedQuery) -> "wire.QueryPoints":
    """Translate a query whose limit is 1 or more."""
    from qdrant_client import grpc as wire

    request = wire.QueryPoints(collection_name=name, limit=asked.query.limit)
    request.with_payload.enable = True
    sides = _sides(asked)
    if len(sides) == 1:
        # Fields of the same name: a search of one side is that side, and no fusion of one.
        request.MergeFrom(_alone(sides[0]))
        return request
    request.prefetch.extend(sides)
    # The server counts ranks from 0, and the port, as the paper does, from 1.
    request.query.rrf.k = asked.query.rank_constant + 1
    return request


def _sides(asked: CheckedQuery) -> "list[wire.PrefetchQuery]":
    from qdrant_client import grpc as wire

    sides = []
    if asked.dense is not None:
        nearest = wire.VectorInput(dense=wire.DenseVector(data=asked.dense))
        sides.append(_side(asked.query, nearest, DENSE))
    if asked.sparse is not None:
        words = wire.SparseVector(values=asked.sparse.values, indices=asked.sparse.indices)
        sides.append(_side(asked.query, wire.VectorInput(sparse=words), SPARSE))
    return sides


def _side(query: Query, nearest: "wire.VectorInput", using: str) -> "wire.PrefetchQuery":
    from qdrant_client import grpc as wire

    side = wire.PrefetchQuery(
        query=wire.Query(nearest=nearest),
        using=using,
        filter=wire_filter(query.where),
        limit=max(query.candidates, 1),
    )
    if using == DENSE:
        # After a search in the compressed copy, where there is one, the originals decide the order.
        side.params.quantization.rescore = True
        side.params.quantization.oversampling = 2.0
    return side


def _alone(side: "wire.PrefetchQuery") -> "wire.QueryPoints":
    from qdrant_client import grpc as wire

    return wire.QueryPoints(
        query=side.query,
        using=side.using,
        filter=side.filter if side.HasField("filter") else None,
        params=side.params if side.HasField("params") else None,
    )
