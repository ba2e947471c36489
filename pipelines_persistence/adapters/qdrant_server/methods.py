"""The methods of the server that the store calls, and how their messages become bytes."""

from functools import cache
from typing import Any

_RESPONSES = {
    "Qdrant/HealthCheck": "HealthCheckReply",
    "Collections/Get": "GetCollectionInfoResponse",
    "Collections/CollectionExists": "CollectionExistsResponse",
    "Collections/List": "ListCollectionsResponse",
    "Collections/Create": "CollectionOperationResponse",
    "Collections/Update": "CollectionOperationResponse",
    "Collections/Delete": "CollectionOperationResponse",
    "Collections/UpdateAliases": "CollectionOperationResponse",
    "Collections/ListAliases": "ListAliasesResponse",
    "Points/Upsert": "PointsOperationResponse",
    "Points/Delete": "PointsOperationResponse",
    "Points/UpdateBatch": "UpdateBatchResponse",
    "Points/CreateFieldIndex": "PointsOperationResponse",
    "Points/DeleteFieldIndex": "PointsOperationResponse",
    "Points/Get": "GetResponse",
    "Points/Scroll": "ScrollResponse",
    "Points/Count": "CountResponse",
    "Points/Facet": "FacetResponse",
    "Points/Query": "QueryResponse",
    "Points/QueryBatch": "QueryBatchResponse",
    "Snapshots/Create": "CreateSnapshotResponse",
    "Snapshots/List": "ListSnapshotsResponse",
    "Snapshots/Delete": "DeleteSnapshotResponse",
}


@cache
def response_type(path: str) -> Any:  # noqa: ANN401 - protobuf makes its classes at run time
    """Return the class of the response of a method, such as "Points/Query"."""
    from qdrant_client import grpc as wire

    return getattr(wire, _RESPONSES[path])


def serialized(request: Any) -> bytes:  # noqa: ANN401 - a message of any class
    """Return a message as bytes; bytes are one already."""
    data: bytes = request if isinstance(request, bytes) else request.SerializeToString()
    return data
