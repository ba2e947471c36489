"""Collections and points: what a vector store is asked for, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from pipelines_persistence.records.documents import Payload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float32]


class Distance(StrEnum):
    """How two vectors are compared."""

    COSINE = "cosine"
    DOT = "dot"
    EUCLID = "euclid"
    MANHATTAN = "manhattan"


IndexedType: TypeAlias = Literal["keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo"]


@dataclass(frozen=True, slots=True)
class HnswSpec:
    """The graph of the approximate index; see the store's documentation for the trade-offs."""

    m: int = 16
    ef_construct: int = 100
    full_scan_threshold: int = 10_000
    on_disk: bool | None = None


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """What a collection must be, verified after it was created.

    Attributes:
        dimension: components of each vector.
        quantization: "int8" keeps a compressed copy for the search, the original for the ranking.
        payload_indexes: payload key to the type of its index.
        sparse: whether a sparse vector stands beside the dense one, weighted by the rarity of its words (IDF).
        tenant: the payload key that divides the collection among tenants, a keyword index of `payload_indexes`; "" for none.
        shards, replicas, write_consistency: of a cluster, None for the server's own default; an embedded store has one
            of each, whatever is asked for.
    """

    dimension: int
    distance: Distance = Distance.COSINE
    hnsw: HnswSpec = HnswSpec()
    quantization: Literal["none", "int8"] = "none"
    on_disk: bool = False
    payload_indexes: Mapping[str, IndexedType] = field(default_factory=dict)
    sparse: bool = False
    tenant: str = ""
    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What a collection is, as its store reports it.

    Attributes:
        indexed_vectors: dense vectors that are in the graph; below a threshold the store scans, and leaves them out.
        status: "green" (all well), "yellow" (optimizing), "grey" (optimizations wait for a write) or "red" (failed).
        optimizer: "ok", or what went wrong.
        bytes: on disk; None where the store does not tell.
        sparse: whether there is a sparse vector.
    """

    name: str
    points: int
    dimension: int
    distance: Distance
    indexed_vectors: int
    segments: int
    payload_indexes: Mapping[str, IndexedType]
    status: Literal["green", "yellow", "grey", "red"] = "green"
    optimizer: str = "ok"
    bytes: int | None = None
    sparse: bool = False

    @property
    def indexed_share(self) -> float:
        """Share of the points whose vectors are in the graph, 0 to 1; 1 where there is no point."""
        return min(1.0, self.indexed_vectors / self.points) if self.points else 1.0


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A copy of a collection that its store keeps.

    Attributes:
        bytes: its size.
        created_at: None where the store does not tell.
    """

    name: str
    collection: str
    bytes: int
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class SparseVector:
    """The components of a vector that are not zero.

    Attributes:
        indices: n distinct numbers, unsigned 32 bits.
        values: n weights, float32, finite.
    """

    indices: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Points:
    """A batch to write.

    Attributes:
        ids: UUIDs in their canonical text form, n of them.
        vectors: shape (n, dimension), float32, finite.
        payloads: n mappings.
        sparse: n sparse vectors where the collection has them, else None.
    """

    ids: Sequence[str]
    vectors: "Matrix"
    payloads: Sequence[Payload]
    sparse: "Sequence[SparseVector] | None" = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A point that a search found.

    Attributes:
        score: higher is closer for cosine, dot, sparse and fused searches, lower for distances.
    """

    id: str
    score: float
    payload: Payload


class SearchMode(StrEnum):
    """What a search goes by: meaning, words, or both fused by rank."""

    DENSE = "dense"
    SPARSE = "sparse"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point as it stands in the store.

    Attributes:
        vector: shape (dimension,), only where it was asked for.
        sparse: as `vector`, and only where the point has one.
    """

    id: str
    payload: Payload
    vector: "NDArray[np.float32] | None" = None
    sparse: SparseVector | None = None


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value of a payload field, and how many points have it."""

    value: str | int | bool
    count: int
