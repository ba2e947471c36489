"""The services of Qdrant's gRPC interface, as far as the store uses them; what is missing is UNIMPLEMENTED."""

# ruff: noqa: N802, ARG002 - the methods have the names and the arguments of the interface

import functools

import grpc
from qdrant_client import grpc as wire

from tests.wire_double import translation
from tests.wire_double.refusals import Refusal

VERSION = "1.16.0-double"


def served(method):
    """Turn refusals into statuses, and what the engine raises into what the server says of it."""

    @functools.wraps(method)
    def call(self, request, context):
        try:
            return method(self, request)
        except Refusal as refusal:
            context.abort(refusal.status, refusal.details)
        except Exception as error:  # noqa: BLE001 - a server does not die of a request
            context.abort(grpc.StatusCode.INTERNAL, f"Service internal error: {error}")

    return call


class Service:
    def __init__(self, engine):
        self.engine = engine


class Health(Service, wire.QdrantServicer):
    @served
    def HealthCheck(self, request):
        return wire.HealthCheckReply(title="qdrant - wire double", version=VERSION)


class Collections(Service, wire.CollectionsServicer):
    @served
    def Get(self, request):
        return wire.GetCollectionInfoResponse(result=self.engine.get(request.collection_name).report())

    @served
    def CollectionExists(self, request):
        with self.engine.lock:
            name = self.engine.aliases.get(request.collection_name, request.collection_name)
            return wire.CollectionExistsResponse(result={"exists": name in self.engine.collections})

    @served
    def List(self, request):
        with self.engine.lock:
            found = [wire.CollectionDescription(name=name) for name in self.engine.collections]
        return wire.ListCollectionsResponse(collections=found)

    @served
    def Create(self, request):
        self.engine.create(request)
        return wire.CollectionOperationResponse(result=True)

    @served
    def Update(self, request):
        self.engine.get(request.collection_name).change(request)
        return wire.CollectionOperationResponse(result=True)

    @served
    def Delete(self, request):
        return wire.CollectionOperationResponse(result=self.engine.delete(request.collection_name))

    @served
    def UpdateAliases(self, request):
        self.engine.change_aliases(request.actions)
        return wire.CollectionOperationResponse(result=True)

    @served
    def ListAliases(self, request):
        pairs = self.engine.aliases.items()
        found = [wire.AliasDescription(alias_name=alias, collection_name=name) for alias, name in pairs]
        return wire.ListAliasesResponse(aliases=found)


class Points(Service, wire.PointsServicer):
    @served
    def Upsert(self, request):
        self.engine.get(request.collection_name).upsert(request.points, wait=request.wait)
        return _done(request)

    @served
    def Delete(self, request):
        self.engine.get(request.collection_name).delete(request.points)
        return _done(request)

    @served
    def OverwritePayload(self, request):
        self.engine.get(request.collection_name).overwrite_payload(request)
        return _done(request)

    @served
    def UpdateBatch(self, request):
        collection = self.engine.get(request.collection_name)
        for operation in request.operations:
            collection.overwrite_payload(operation.overwrite_payload)
        return wire.UpdateBatchResponse(result=[_done(request).result for _ in request.operations])

    @served
    def CreateFieldIndex(self, request):
        self.engine.get(request.collection_name).create_index(request)
        return _done(request)

    @served
    def DeleteFieldIndex(self, request):
        self.engine.get(request.collection_name).delete_index(request.field_name)
        return _done(request)

    @served
    def Get(self, request):
        return wire.GetResponse(result=self.engine.get(request.collection_name).retrieve(request))

    @served
    def Scroll(self, request):
        records, following = self.engine.get(request.collection_name).scroll(request)
        offset = None if following is None else translation.id_message(following)
        return wire.ScrollResponse(result=records, next_page_offset=offset)

    @served
    def Count(self, request):
        return wire.CountResponse(result={"count": self.engine.get(request.collection_name).count(request)})

    @served
    def Facet(self, request):
        return wire.FacetResponse(hits=self.engine.get(request.collection_name).facet(request))

    @served
    def QueryBatch(self, request):
        found = self.engine.get(request.collection_name).query(request.query_points)
        return wire.QueryBatchResponse(result=[wire.BatchResult(result=points) for points in found])


class Snapshots(Service, wire.SnapshotsServicer):
    @served
    def Create(self, request):
        made = self.engine.snapshot(request.collection_name)
        return wire.CreateSnapshotResponse(snapshot_description=made)

    @served
    def List(self, request):
        found = self.engine.snapshots(request.collection_name)
        return wire.ListSnapshotsResponse(snapshot_descriptions=found)

    @served
    def Delete(self, request):
        if not self.engine.delete_snapshot(request.collection_name, request.snapshot_name):
            details = f"Not found: Snapshot {request.snapshot_name} not found"
            raise Refusal(grpc.StatusCode.NOT_FOUND, details)
        return wire.DeleteSnapshotResponse()


def _done(request):
    status = wire.UpdateStatus.Completed if request.wait else wire.UpdateStatus.Acknowledged
    return wire.PointsOperationResponse(result=wire.UpdateResult(operation_id=0, status=status))
