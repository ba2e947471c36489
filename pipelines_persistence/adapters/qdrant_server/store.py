"""The vector store on a server."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pipelines_persistence.adapters.qdrant.names import SPARSE, field_path, is_name, not_found, require_name
from pipelines_persistence.adapters.qdrant.ranking import CheckedQuery, Side, checked, ranked
from pipelines_persistence.adapters.qdrant.validation import checked_ids, checked_payload, checked_points
from pipelines_persistence.adapters.qdrant_server import building, catalog, conditions, specifications
from pipelines_persistence.adapters.qdrant_server.address import parse_address
from pipelines_persistence.adapters.qdrant_server.connection import CallGuard, Connection, Unguarded
from pipelines_persistence.adapters.qdrant_server.payloads import fill_fields
from pipelines_persistence.adapters.qdrant_server.points import encoded, hit, stored_point
from pipelines_persistence.adapters.qdrant_server.queries import wire_query
from pipelines_persistence.adapters.qdrant_server.shapes import Shapes
from pipelines_persistence.adapters.qdrant_server.uploading import in_streams
from pipelines_persistence.errors import ConfigurationError, StoreError, StoreUnavailable
from pipelines_persistence.filters import Where
from pipelines_persistence.ports import Query
from pipelines_persistence.records import (
    CollectionInfo,
    CollectionSpec,
    FacetValue,
    Hit,
    Payload,
    Points,
    SnapshotInfo,
    StoredPoint,
)

if TYPE_CHECKING:
    from qdrant_client import grpc as wire

PAGE = 1000
"""Points of one request that reads or deletes."""

_STATUS: dict[int, Literal["green", "yellow", "grey", "red"]] = {1: "green", 2: "yellow", 3: "red", 4: "grey"}


class QdrantServerStore:
    """Implements `ports.VectorStore` over a Qdrant server, for any number of threads; processes make their own.

    Nothing is retried here but a call over a connection that had gone stale: retries are the guard's business, and every
    call may be repeated, for ids are given and aliases are set, not moved.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        grpc_port: int = 6334,
        timeout: float = 60.0,
        batch: int = 128,
        streams: int = 3,
        guard: CallGuard | None = None,
    ) -> None:
        """Connect at the first call.

        Args:
            url: `http://HOST` or `https://HOST`, which encrypts; a port other than 6333 is taken for the one of gRPC.
            api_key: what the server wants to see.
            grpc_port: where the URL names none, or 6333.
            timeout: the deadline of each call, in seconds.
            batch: points of one write.
            streams: writes that are under way at once.
            guard: stands around each call; by default nothing does.

        Raises:
            ConfigurationError: the URL or the key is none.
        """
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError(
                "PIPELINES_QDRANT_API_KEY: a key has only printable ASCII characters: look for a line end in it"
            )
        self._batch = batch
        self._streams = streams
        self._connection = Connection(parse_address(url, grpc_port), api_key, timeout, guard or Unguarded())
        self._shapes = Shapes(self._look_up)

    def __repr__(self) -> str:
        """Say where the server is, and nothing that is secret."""
        return f"QdrantServerStore({str(self._connection.address)!r})"

    def version(self) -> str:
        """Return the version of the server: the cheapest call there is."""
        from qdrant_client import grpc as wire

        reply = self._connection.call(
            "Qdrant/HealthCheck", wire.HealthCheckRequest(), "asking for its version"
        )
        version: str = reply.version
        return version

    def create(self, collection: str, spec: CollectionSpec) -> None:
        """Make a collection and verify it, or bring an existing one to other tuning or payload indexes.

        Raises:
            StoreError: one exists with another dimension, distance, sparse vector or number of shards; an alias has that
                name; or the server made something else than was asked for.
        """
        require_name(collection)
        if collection in self.aliases():
            raise StoreError(f"{collection!r} is an alias: choose another name for the collection")
        self._shapes.forget()
        building.ensure(self._connection, collection, spec)

    def drop(self, collection: str) -> None:
        """Remove a collection; nothing happens if there is none.

        Raises:
            StoreError: an alias points to it.
        """
        require_name(collection)
        aliases = [alias for alias, target in self.aliases().items() if target == collection]
        if aliases:
            raise StoreError(
                f"{collection!r} is what readers of {aliases[0]!r} see: point that alias elsewhere first"
            )
        self._shapes.forget()
        catalog.drop(self._connection, collection)

    @contextmanager
    def session(self, name: str) -> Iterator[None]:  # noqa: ARG002 - a part of the port
        """Do nothing: the connection is kept anyway."""
        yield

    def collections(self) -> list[str]:
        """The names of the collections, sorted."""
        return catalog.collections(self._connection)

    def info(self, name: str) -> CollectionInfo:
        """What the server reports of a collection; it does not tell its size on disk."""
        report = building.look(self._connection, _known_name(name))
        found = specifications.standing(report)
        return CollectionInfo(
            name=self._resolve(name),
            points=self.count(name),
            dimension=found.dimension,
            distance=found.distance,
            indexed_vectors=self._indexed_dense_vectors(
                name, report.indexed_vectors_count, has_sparse=found.sparse
            ),
            segments=report.segments_count,
            payload_indexes=found.indexes_by_key(),
            status=_STATUS.get(report.status, "red"),
            optimizer="ok" if report.optimizer_status.ok else report.optimizer_status.error,
            sparse=found.sparse,
        )

    def upsert(self, name: str, points: Points) -> None:
        """Write points, several batches at a time; all are checked before any is sent, and all are applied at the end.

        Raises:
            StoreError: names the first row that cannot be written; none was.
            StoreUnavailable, StorageError: some were written; to write them all again is safe.
        """
        collection = _known_name(name)
        checked = checked_points(points, self._shapes.now(collection))
        starts = range(0, len(checked.ids), self._batch)
        requests = (encoded(collection, checked, slice(start, start + self._batch)) for start in starts)
        if len(starts) > 1 and self._streams > 1:
            in_streams(lambda request: self._upsert(collection, request), requests, self._streams)
            return
        for request in requests:
            self._upsert(collection, request)

    def set_payloads(self, name: str, payloads: Mapping[str, Payload]) -> None:
        """Replace the payloads of existing points; ids that are not there are ignored."""
        from qdrant_client import grpc as wire

        collection = self._resolve(name)
        ids = checked_ids(payloads)
        checked = {key: checked_payload(payloads[key], f"point {key}") for key in ids}
        for page in _pages(ids, PAGE):
            request = wire.UpdateBatchPoints(collection_name=collection, wait=True)
            for key in page:
                write = request.operations.add().overwrite_payload
                # By filter: by id the server refuses the operation, and what follows it, where one is not there.
                write.points_selector.filter.CopyFrom(conditions.ids_filter([key]))
                fill_fields(write.payload, checked[key])
            self._connection.call("Points/UpdateBatch", request, f"writing to {name!r}", name)

    def delete(self, name: str, ids: Iterable[str]) -> None:
        """Remove points; ids that are not there are ignored."""
        from qdrant_client import grpc as wire

        collection = self._resolve(name)
        for page in _pages(checked_ids(ids), PAGE):
            selector = wire.PointsSelector(points=wire.PointsIdsList(ids=conditions.point_ids(page)))
            request = wire.DeletePoints(collection_name=collection, wait=True, points=selector)
            self._connection.call("Points/Delete", request, f"deleting from {name!r}", name)

    def retrieve(self, name: str, ids: Sequence[str], *, vectors: bool = False) -> list[StoredPoint]:
        """Return the points that exist among `ids`, in no particular order."""
        return self._retrieve(self._resolve(name), checked_ids(ids), vectors=vectors)

    def scroll(
        self, name: str, *, page: int = 1000, vectors: bool = False, where: Where = None
    ) -> Iterator[StoredPoint]:
        """Walk over the points that match in the order of their ids, `page` at a time.

        What is written meanwhile appears if its id comes later. An alias is followed once, at the start.
        """
        from qdrant_client import grpc as wire

        if page < 1:
            raise StoreError(f"a page of {page} points holds nothing: give 1 or more")
        request = wire.ScrollPoints(
            collection_name=self._resolve(name),
            limit=page,
            filter=conditions.wire_filter(where),
            with_payload=wire.WithPayloadSelector(enable=True),
            with_vectors=wire.WithVectorsSelector(enable=vectors),
        )
        return self._scroll(request)

    def count(self, name: str, where: Where = None) -> int:
        """Count exactly the points that match."""
        return self._count(_known_name(name), conditions.wire_filter(where))

    def facet(self, name: str, key: str, *, limit: int = 10, where: Where = None) -> list[FacetValue]:
        """Count the points by the values of a payload field, the most frequent first, then by value.

        Raises:
            StoreError: the field has no payload index of type keyword, integer, bool or uuid.
        """
        from qdrant_client import grpc as wire

        request = wire.FacetCounts(
            collection_name=_known_name(name),
            key=field_path(key),
            filter=conditions.wire_filter(where),
            limit=max(limit, 1),
            exact=True,
        )
        response = self._connection.call(
            "Points/Facet", request, f"counting the values of {key!r} in {name!r}", name
        )
        values = [
            FacetValue(getattr(each.value, each.value.WhichOneof("variant")), each.count)
            for each in response.hits
        ]
        return sorted(values, key=lambda each: (-each.count, each.value))[: max(limit, 0)]

    def search(self, name: str, query: Query) -> list[Hit]:
        """Return the nearest points, best first."""
        return self.search_batch(name, [query])[0]

    def search_batch(self, name: str, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the hits of each query, in one call; those by two vectors take one more for the payloads."""
        asked = [self._checked(_known_name(name), query) for query in queries]
        return ranked(asked, partial(self._ask, name), partial(self._payloads, name))

    def aliases(self) -> dict[str, str]:
        """Alias to collection."""
        return catalog.aliases(self._connection)

    def point_alias(self, alias: str, collection: str) -> None:
        """Let readers of `alias` see `collection` from now on, in one atomic step.

        Raises:
            IndexNotFound: there is no such collection.
            StoreError: a collection has the name of the alias.
        """
        require_name(alias)
        names = self.collections()
        if collection not in names:
            raise not_found(collection)
        if alias in names:
            raise StoreError(f"{alias!r} is a collection: choose another name for the alias")
        self._shapes.forget()
        catalog.point_alias(self._connection, alias, collection)

    def snapshot(self, name: str) -> SnapshotInfo:
        """Make a copy of a collection, kept by the server."""
        return catalog.snapshot(self._connection, self._resolve(name))

    def snapshots(self, name: str) -> list[SnapshotInfo]:
        """The copies of a collection, the newest first."""
        return catalog.snapshots(self._connection, self._resolve(name))

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        """Remove a copy; nothing happens if there is none."""
        catalog.delete_snapshot(self._connection, self._resolve(name), snapshot)

    def close(self) -> None:
        """Hang up; safe to call twice, and the store may be used again."""
        self._connection.close()

    def _indexed_dense_vectors(self, name: str, indexed: int, *, has_sparse: bool) -> int:
        """Return how many dense vectors are in the graph: the server counts the sparse ones with them."""
        from qdrant_client import grpc as wire

        if not has_sparse:
            return indexed
        having = wire.Condition(has_vector=wire.HasVectorCondition(has_vector=SPARSE))
        return max(0, indexed - self._count(name, wire.Filter(must=[having])))

    def _count(self, name: str, filter_: "wire.Filter | None") -> int:
        from qdrant_client import grpc as wire

        request = wire.CountPoints(collection_name=name, filter=filter_, exact=True)
        response = self._connection.call("Points/Count", request, f"counting in {name!r}", name)
        count: int = response.result.count
        return count

    def _retrieve(self, name: str, ids: Sequence[str], *, vectors: bool) -> list[StoredPoint]:
        from qdrant_client import grpc as wire

        found: list[StoredPoint] = []
        for page in _pages(ids, PAGE):
            request = wire.GetPoints(
                collection_name=name,
                ids=conditions.point_ids(page),
                with_payload=wire.WithPayloadSelector(enable=True),
                with_vectors=wire.WithVectorsSelector(enable=vectors),
            )
            response = self._connection.call("Points/Get", request, f"reading {name!r}", name)
            found += map(stored_point, response.result)
        return found

    def _upsert(self, collection: str, request: bytes) -> None:
        response = self._connection.call("Points/Upsert", request, f"writing to {collection!r}", collection)
        _require_completed(response.result.status, collection)

    def _look_up(self, name: str) -> CollectionSpec:
        return specifications.standing(building.look(self._connection, name)).spec()

    def _ask(self, name: str, sides: Sequence[Side]) -> list[list[Hit]]:
        from qdrant_client import grpc as wire

        requests = [wire_query(name, side) for side in sides]
        request = wire.QueryBatchPoints(collection_name=name, query_points=requests)
        response = self._connection.call("Points/QueryBatch", request, f"searching in {name!r}", name)
        return [[hit(point) for point in batch.result] for batch in response.result]

    def _payloads(self, name: str, ids: Sequence[str]) -> dict[str, Payload]:
        return {point.id: point.payload for point in self._retrieve(name, ids, vectors=False)}

    def _checked(self, name: str, query: Query) -> CheckedQuery:
        spec = self._shapes.remembered(name)
        if spec is not None:
            with suppress(StoreError):  # the name may stand for another collection by now
                return checked(query, spec)
        return checked(query, self._shapes.now(name))

    def _resolve(self, name: str) -> str:
        """Return the collection that a name is or stands for.

        Raises:
            IndexNotFound: there is none.
        """
        return catalog.resolve(self._connection, _known_name(name))

    def _scroll(self, request: "wire.ScrollPoints") -> Iterator[StoredPoint]:
        collection = request.collection_name
        while True:
            response: Any = self._connection.call(
                "Points/Scroll", request, f"reading {collection!r}", collection
            )
            yield from map(stored_point, response.result)
            if not response.HasField("next_page_offset"):
                return
            request.offset.CopyFrom(response.next_page_offset)


def _known_name(name: str) -> str:
    if not is_name(name):
        raise not_found(name)
    return name


def _require_completed(status: int, collection: str) -> None:
    if status != 2:  # qdrant.UpdateStatus.Completed
        raise StoreUnavailable(
            f"writing to {collection!r}: the server did not finish in time (status {status}): try again"
        )


def _pages(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
