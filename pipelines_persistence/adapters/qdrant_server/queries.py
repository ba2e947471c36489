"""Our queries to the server's."""

from typing import TYPE_CHECKING, Any

from pipelines_persistence.adapters.qdrant.names import DENSE
from pipelines_persistence.adapters.qdrant.ranking import Side
from pipelines_persistence.adapters.qdrant_server.conditions import wire_filter

if TYPE_CHECKING:
    from qdrant_client import grpc as wire


def wire_query(name: str, side: Side) -> "wire.QueryPoints":
    """Translate a ranking by one vector."""
    from qdrant_client import grpc as wire

    request = wire.QueryPoints(
        collection_name=name,
        query=wire.Query(nearest=_nearest(side)),
        using=side.using,
        filter=wire_filter(side.asked.query.where),
        limit=side.window,
    )
    request.with_payload.enable = side.with_payload
    if side.using == DENSE:
        # After a search in the compressed copy, where there is one, the originals decide the order.
        request.params.quantization.rescore = True
        request.params.quantization.oversampling = 2.0
    return request


def _nearest(side: Side) -> "wire.VectorInput":
    from qdrant_client import grpc as wire

    if side.using == DENSE:
        return wire.VectorInput(dense=wire.DenseVector(data=side.asked.dense))
    sparse: Any = side.asked.sparse
    return wire.VectorInput(sparse=wire.SparseVector(values=sparse.values, indices=sparse.indices))
