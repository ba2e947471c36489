"""Where points are kept and searched."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipelines_persistence.filters import Where
from pipelines_persistence.records import (
    CollectionInfo,
    CollectionSpec,
    FacetValue,
    Hit,
    Payload,
    Points,
    SnapshotInfo,
    SparseVector,
    StoredPoint,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Query:
    """What a search looks for: near a dense vector, or a sparse one, or both fused by rank (RRF).

    Attributes:
        vector: shape (dimension,), float32; None for a sparse search.
        sparse: None for a dense search.
        limit: the most hits.
        where: which points may be hits.
        candidates: how many each side of a fused search contributes.
        rank_constant: the k of reciprocal rank fusion: a hit scores the sum of 1 / (k + its rank, from 1) over the sides;
            Cormack, Clarke and Büttcher, SIGIR 2009.
    """

    vector: "NDArray[np.float32] | None" = None
    sparse: SparseVector | None = None
    limit: int = 10
    where: Where = None
    candidates: int = 100
    rank_constant: int = 60


class VectorStore(Protocol):
    """Collections of points, and aliases that name the one that readers see.

    `name` is a collection or an alias, except where a method says otherwise. Every method raises
    `StoreUnavailable` when the store does not answer and `StoreError` when it refuses. What a `where` means stands in
    `filters`.
    """

    def create(self, collection: str, spec: CollectionSpec) -> None:
        """Make a collection with its payload indexes and verify it.

        Nothing happens if an equal one exists; other tuning or other payload indexes are applied to it.

        Raises:
            StoreError: one of that name exists with another dimension, distance, sparse vector or number of shards; or the store
                made something else than was asked for.
        """

    def drop(self, collection: str) -> None:
        """Remove a collection; nothing happens if there is none.

        Raises:
            StoreError: an alias points to it.
        """

    def session(self, name: str) -> AbstractContextManager[None]:
        """Keep a collection ready for a series of calls; never needed, and worth it for many."""

    def collections(self) -> list[str]:
        """The names of the collections, sorted."""

    def info(self, name: str) -> CollectionInfo:
        """What the store knows of a collection.

        Raises:
            IndexNotFound: there is none of that name.
        """

    def upsert(self, name: str, points: Points) -> None:
        """Write points, durably when this returns; those with the same id are replaced.

        Raises:
            StoreError: a vector has a wrong dimension or is not finite, or the points have sparse vectors and the collection has
                not, or the other way round; none was written.
        """

    def set_payloads(self, name: str, payloads: Mapping[str, Payload]) -> None:
        """Replace the payloads of existing points, by id; no vector is sent."""

    def delete(self, name: str, ids: Iterable[str]) -> None:
        """Remove points, durably when this returns; ids that are not there are ignored."""

    def retrieve(self, name: str, ids: Sequence[str], *, vectors: bool = False) -> list[StoredPoint]:
        """Return the points that exist among `ids`, in no particular order."""

    def scroll(
        self, name: str, *, page: int = 1000, vectors: bool = False, where: Where = None
    ) -> Iterator[StoredPoint]:
        """Walk over the points that match, `page` at a time, in the order of their ids."""

    def count(self, name: str, where: Where = None) -> int:
        """Count exactly the points that match."""

    def facet(self, name: str, key: str, *, limit: int = 10, where: Where = None) -> list[FacetValue]:
        """Count the points by the values of a payload field, the most frequent first, then by value.

        Raises:
            StoreError: the field has no payload index of type keyword, integer, bool or uuid.
        """

    def search(self, name: str, query: Query) -> list[Hit]:
        """Return the nearest points, best first.

        Raises:
            StoreError: the query has no vector, one that does not fit, or a sparse one where the collection has none.
        """

    def search_batch(self, name: str, queries: Sequence[Query]) -> list[list[Hit]]:
        """Return the hits of each query, in one call."""

    def aliases(self) -> dict[str, str]:
        """Alias to collection."""

    def point_alias(self, alias: str, collection: str) -> None:
        """Let readers of `alias` see `collection` from now on, in one atomic step.

        Raises:
            IndexNotFound: there is no such collection.
        """

    def snapshot(self, name: str) -> SnapshotInfo:
        """Make a copy of a collection, kept by the store."""

    def snapshots(self, name: str) -> list[SnapshotInfo]:
        """The copies of a collection, the newest first."""

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        """Remove a copy; nothing happens if there is none."""

    def close(self) -> None:
        """Release what is held; safe to call twice."""
