"""The vector store in this process."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipelines_persistence.adapters.qdrant import validation
from pipelines_persistence.adapters.qdrant.names import not_found
from pipelines_persistence.adapters.qdrant.ranking import Side, checked, ranked
from pipelines_persistence.adapters.qdrant_edge import building, engine, models
from pipelines_persistence.adapters.qdrant_edge.access import Access, Opened
from pipelines_persistence.adapters.qdrant_edge.conditions import engine_filter
from pipelines_persistence.adapters.qdrant_edge.files import require_space, size_on_disk
from pipelines_persistence.adapters.qdrant_edge.queries import facet_request, query_request, require_facets
from pipelines_persistence.adapters.qdrant_edge.snapshots import Snapshots
from pipelines_persistence.errors import StoreError
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
    from qdrant_edge import Filter, PointId, UpdateOperation

Item = TypeVar("Item")

PAGE = 1000
"""Points of one operation of the engine: bounds the entries of its log, and how long the lock is held."""

WRITE_MARGIN = 16 * 2**20
"""Bytes that must stay free beside a batch, for other writers on the disk."""


class EdgeVectorStore:
    """Implements `ports.VectorStore` over a folder, for any number of threads and processes on one machine.

    Each call opens the collection under a lock, works and closes it, so that processes take turns: one may search
    while another ingests. `session` leaves a collection open over many calls, as long as nobody else wants it.
    """

    def __init__(
        self, root: Path, lock_timeout: float = 60.0, on_wait: Callable[[str], None] | None = None
    ) -> None:
        """Touch nothing yet.

        Args:
            root: holds everything; made at the first write.
            lock_timeout: seconds to wait for other threads and processes before `StoreUnavailable`.
            on_wait: told once, in a sentence, about each wait of more than half a second.
        """
        self._access = Access(root, lock_timeout, on_wait)
        self._snapshots = Snapshots(self._access, root.absolute() / "snapshots")

    def create(self, collection: str, spec: CollectionSpec) -> None:
        """Make a collection, or bring an existing one to another HNSW, quantization, tenant or payload indexes.

        There is one shard and one copy of it, whatever the specification asks for.

        Raises:
            StoreError: one exists with another dimension, distance or sparse vector, or an alias has that name.
        """
        spec = replace(spec, shards=None, replicas=None, write_consistency=None)
        with self._access.changing(collection) as handle:
            if collection in self.aliases():
                raise StoreError(f"{collection!r} is an alias: choose another name for the collection")
            building.ensure(self._access.registry, handle, collection, spec)

    def drop(self, collection: str) -> None:
        """Remove a collection. Its snapshots stay, for that is when one wants them.

        Raises:
            StoreError: an alias points to it.
        """
        with self._access.changing(collection) as handle:
            aliases = [alias for alias, target in self.aliases().items() if target == collection]
            if aliases:
                raise StoreError(
                    f"{collection!r} is what readers of {aliases[0]!r} see: point that alias elsewhere first"
                )
            handle.close_shard()
            self._access.registry.discard(collection)

    def collections(self) -> list[str]:
        """The names of the collections, sorted."""
        return self._access.registry.collections()

    def info(self, name: str) -> CollectionInfo:
        """What the engine reports of a collection. It optimizes only when it is told to, so it is never busy with that."""
        with self._access.using(name) as opened, engine.engine_errors(f"looking at {opened.name!r}"):
            report = opened.shard.info()
            return CollectionInfo(
                name=opened.name,
                points=report.points_count,
                dimension=opened.spec.dimension,
                distance=opened.spec.distance,
                indexed_vectors=engine.indexed_dense_vectors(opened.shard, opened.spec),
                segments=report.segments_count,
                payload_indexes=models.by_port_key(engine.reported_indexes(opened.shard), opened.spec),
                bytes=size_on_disk(opened.folder),
                sparse=opened.spec.sparse,
            )

    def upsert(self, name: str, points: Points) -> None:
        """Write points, flushed to disk when this returns; all are checked before the lock is taken.

        Raises:
            StoreError: names the first row that cannot be written; none was.
            StorageError: the disk is full; none was written.
        """
        from qdrant_edge import UpdateOperation

        collection, spec = self._access.resolve(name)
        checked = validation.checked_points(points, spec)
        rows = models.engine_points(checked)
        operations = [UpdateOperation.upsert_points([*page]) for page in _pages(rows, PAGE)]
        self._write(collection, operations, validation.written_bytes(checked))

    def set_payloads(self, name: str, payloads: Mapping[str, Payload]) -> None:
        """Replace the payloads of existing points; ids that are not there are ignored."""
        from qdrant_edge import UpdateOperation

        collection, _ = self._access.resolve(name)
        ids = validation.checked_ids(payloads)
        checked = {key: validation.checked_payload(payloads[key], f"point {key}") for key in ids}
        for page in _pages(ids, PAGE):
            with self._access.using(collection) as opened, engine.engine_errors(f"reading {collection!r}"):
                # The engine refuses an operation, and what follows it, at the first id that is not there.
                present = [
                    str(record.id)
                    for record in opened.shard.retrieve([*page], with_payload=False, with_vector=False)
                ]
                writes = [UpdateOperation.overwrite_payload([key], checked[key]) for key in present]
                self._write(collection, writes, validation.payload_bytes([checked[key] for key in present]))

    def delete(self, name: str, ids: Iterable[str]) -> None:
        """Remove points, flushed to disk when this returns; ids that are not there are ignored."""
        from qdrant_edge import UpdateOperation

        collection, _ = self._access.resolve(name)
        for page in _pages(validation.checked_ids(ids), 10 * PAGE):
            self._write(collection, [UpdateOperation.delete_points([*page])], 256 * len(page))

    def retrieve(self, name: str, ids: Sequence[str], *, vectors: bool = False) -> list[StoredPoint]:
        """Return the points that exist among `ids`, in no particular order."""
        found: list[StoredPoint] = []
        collection, _ = self._access.resolve(name)
        for page in _pages(validation.checked_ids(ids), PAGE):
            with self._access.using(collection) as opened, engine.engine_errors(f"reading {opened.name!r}"):
                found += map(
                    models.stored_point,
                    opened.shard.retrieve([*page], with_payload=True, with_vector=vectors),
                )
        return found

    def scroll(
        self, name: str, *, page: int = 1000, vectors: bool = False, where: Where = None
    ) -> Iterator[StoredPoint]:
        """Walk over the points that match in the order of their ids; the lock is free between two pages.

        What is written meanwhile appears if its id comes later. An alias is followed once, at the start.
        """
        if page < 1:
            raise StoreError(f"a page of {page} points holds nothing: give 1 or more")
        collection, _ = self._access.resolve(name)
        return self._scroll(collection, page, engine_filter(where), vectors=vectors)

    def count(self, name: str, where: Where = None) -> int:
        """Count exactly the points that match."""
        from qdrant_edge import CountRequest

        request = CountRequest(exact=True, filter=engine_filter(where))
        with self._reading(name, "counting in") as opened:
            return opened.shard.count(request)

    def facet(self, name: str, key: str, *, limit: int = 10, where: Where = None) -> list[FacetValue]:
        """Count the points by the values of a payload field, the most frequent first, then by value.

        Raises:
            StoreError: the field has no payload index of type keyword, integer, bool or uuid.
        """
        with self._reading(name, "counting the values in") as opened:
            require_facets(key, opened.spec)
            found = opened.shard.facet(facet_request(key, limit, where))
            # A deleted value is still reported, as 0.
            return [models.facet_value(hit) for hit in found if hit.count]

    def search(self, name: str, query: Query) -> list[Hit]:
        """Return the nearest points, best first.

        Raises:
            StoreError: the query has no vector, one that does not fit, or a sparse one where the collection has none.
        """
        return self.search_batch(name, [query])[0]

    def search_batch(self, name: str, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the hits of each query; they share one pass over the vectors."""
        with self._reading(name, "searching in") as opened:
            asked = [checked(query, opened.spec) for query in queries]
            return ranked(asked, partial(_ask, opened), partial(_payloads, opened))

    def aliases(self) -> dict[str, str]:
        """Alias to collection."""
        return self._access.registry.aliases()

    def point_alias(self, alias: str, collection: str) -> None:
        """Let readers of `alias` see `collection` from now on: the replacement of one file.

        Raises:
            IndexNotFound: there is no such collection.
            StoreError: a collection has the name of the alias.
        """
        self._access.rest()
        with self._access.registry.locked():
            if self._access.registry.sidecar(collection) is None:
                raise not_found(collection)
            if self._access.registry.sidecar(alias) is not None:
                raise StoreError(f"{alias!r} is a collection: choose another name for the alias")
            self._access.registry.write_aliases({**self._access.registry.aliases(), alias: collection})

    def snapshot(self, name: str) -> SnapshotInfo:
        """Copy a collection to a folder of the store; it is locked meanwhile.

        Raises:
            StorageError: the disk has no room for it.
        """
        return self._snapshots.make(name)

    def snapshots(self, name: str) -> list[SnapshotInfo]:
        """The copies of a collection, the newest first; of a dropped one, too, under its own name."""
        return self._snapshots.of(name)

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        """Remove a copy; nothing happens if there is none."""
        self._snapshots.remove(name, snapshot)

    def close(self) -> None:
        """Close what a session left open; safe to call twice, and the store may be used again."""
        self._access.rest()

    @contextmanager
    def session(self, name: str) -> Iterator[None]:
        """Leave a collection open between the calls inside, which saves its opening at each of them.

        Another process that waits is let in at the end of the next call; so do not idle in here.
        """
        collection, _ = self._access.resolve(name)
        with self._access.handle(collection).session():
            yield

    def optimize(self, name: str) -> bool:
        """Build the HNSW graph and the compressed vectors, and reclaim deleted points. Maintenance: may take minutes.

        It holds the interpreter and the collection's lock throughout. Below about 50,000 points it is not needed.

        Returns:
            Whether there was anything to do.
        """
        with self._access.using(name) as opened, engine.engine_errors(f"optimizing {opened.name!r}"):
            require_space(opened.folder, 2 * size_on_disk(opened.folder) + WRITE_MARGIN)
            changed = opened.shard.optimize()
            opened.shard.flush()
            return changed

    @contextmanager
    def _reading(self, name: str, doing: str) -> Iterator[Opened]:
        with self._access.using(name) as opened, engine.engine_errors(f"{doing} {opened.name!r}"):
            yield opened

    def _write(self, collection: str, operations: "Sequence[UpdateOperation]", needed: int) -> None:
        with self._access.using(collection) as opened, engine.engine_errors(f"writing to {collection!r}"):
            require_space(opened.folder, needed + WRITE_MARGIN)
            for operation in operations:
                opened.shard.update(operation)
            opened.shard.flush()

    def _scroll(
        self, collection: str, page: int, filter_: "Filter | None", *, vectors: bool
    ) -> Iterator[StoredPoint]:
        from qdrant_edge import ScrollRequest

        offset: PointId | None = None
        while True:
            request = ScrollRequest(offset, page, filter_, with_payload=True, with_vector=vectors)
            with self._access.using(collection) as opened, engine.engine_errors(f"reading {collection!r}"):
                records, offset = opened.shard.scroll(request)
            yield from map(models.stored_point, records)
            if offset is None:
                return


def _ask(opened: Opened, sides: Sequence[Side]) -> list[list[Hit]]:
    from qdrant_edge import QueryBatchRequest

    requests = [query_request(side, opened.spec) for side in sides]
    found = opened.shard.query_batch(QueryBatchRequest(requests))
    return [[models.hit(point) for point in points] for points in found]


def _payloads(opened: Opened, ids: Sequence[str]) -> dict[str, Payload]:
    records = opened.shard.retrieve([*ids], with_payload=True, with_vector=False)
    return {str(record.id): record.payload or {} for record in records}


def _pages(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
