"""The values that cross a seam: small, frozen, and free of any driver's types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from pipelines_persistence.errors import DocumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float32]

Scalar: TypeAlias = str | int | float | bool
Json: TypeAlias = Scalar | Sequence["Json"] | Mapping[str, "Json"] | None
Payload: TypeAlias = dict[str, Json]
"""What is stored beside a vector: typed, not everything as a string."""


_PAYLOAD_FIELDS = frozenset(
    {
        "document",
        "source",
        "title",
        "text",
        "headings",
        "ordinal",
        "start",
        "end",
        "tokens",
        "media_type",
        "metadata",
    }
)


def payload_key(key: str) -> str:
    """Return where a field stands in the payload: what is no field of ours is a key of the document's metadata."""
    return key if key.split(".", 1)[0].removesuffix("[]") in _PAYLOAD_FIELDS else f"metadata.{key}"


class Markup(StrEnum):
    """How the text of a parsed document shows its structure; decides how it is chunked."""

    MARKDOWN = "markdown"
    RESTRUCTURED_TEXT = "rst"
    PLAIN = "plain"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One document as a source lists it, before it is read.

    Attributes:
        source: the name of the source in the configuration.
        path: relative to the source's root, '/'-separated, in Unicode NFC; identifies the document.
        size: in bytes, as listed.
        signature: changes whenever the content may have changed; None means "unknown, hash it".
        problem: set when the entry has no content to read, such as a dangling link.
    """

    source: str
    path: str
    size: int = 0
    signature: str | None = None
    problem: DocumentError | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    r"""A document's text and what is known of it.

    Attributes:
        text: decoded, with '\n' line ends, no byte order mark and no NUL.
        markup: how `text` shows its structure.
        media_type: what the content was found to be, such as "text/html".
        title: the document's own title, or "" where it has none.
        metadata: typed values, such as the front matter of a Markdown file.
    """

    text: str
    markup: Markup
    media_type: str
    title: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `document.text[start:end] == text`.

    Attributes:
        start, end: offsets in characters into the parsed text.
        headings: titles of the sections that contain the start of the chunk, outermost first.
        tokens: as the embedding model counts them, special tokens included.
    """

    text: str
    start: int
    end: int
    headings: tuple[str, ...]
    tokens: int


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


class Outcome(StrEnum):
    """What became of a document; every document that a source lists has one."""

    PENDING = "pending"
    INDEXED = "indexed"
    SKIPPED = "skipped"
    FAILED = "failed"


class GenerationState(StrEnum):
    """The life of a generation."""

    BUILDING = "building"
    LIVE = "live"
    RETIRED = "retired"


class RunState(StrEnum):
    """How a run ended, or that it did not."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Generation:
    """One physical collection built under one fingerprint.

    Attributes:
        configuration: the index configuration it was built under, as JSON.
    """

    id: int
    index: str
    collection: str
    fingerprint: str
    state: GenerationState
    configuration: str


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """What the ledger knows of a document in one generation.

    Attributes:
        content_hash: of the bytes last examined; None until they were.
        signature: see `SourceEntry`; None makes the next run hash the content.
        metadata_hash: of what the configuration said of the document when it was last examined.
        chunks: how many of its chunks are in the index, of its last good version.
        detail: the reason and its sentence, for what was skipped or failed.
        attempts: failures in a row.
    """

    source: str
    path: str
    outcome: Outcome
    content_hash: str | None = None
    signature: str | None = None
    metadata_hash: str = ""
    size: int = 0
    title: str = ""
    media_type: str = ""
    chunks: int = 0
    detail: str = ""
    attempts: int = 0
    id: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the document within its index."""
        return self.source, self.path


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """What the ledger knows of a chunk: the point that the vector store holds for it.

    Attributes:
        is_live: False from before the point is written until the document is finished.
    """

    point_id: str
    text_hash: str
    payload_hash: str
    tokens: int
    is_live: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A document as it should stand in the index once it is written.

    Attributes:
        chunks: all of them, new and kept.
        stale: ids of the points that it leaves behind.
    """

    document: DocumentRecord
    chunks: Sequence[ChunkRecord]
    stale: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One ingestion run; `report` is its JSON, "" while it runs."""

    id: int
    index: str
    state: RunState
    started_at: datetime
    finished_at: datetime | None
    report: str
