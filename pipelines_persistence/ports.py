"""The seams: what the engine needs of the world, as small protocols.

Adapters implement them without inheriting; `tests/contract/` holds one suite for each port.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipelines_persistence.filters import Where
from pipelines_persistence.records import (
    ChunkRecord,
    CollectionInfo,
    CollectionSpec,
    DocumentRecord,
    Draft,
    FacetValue,
    Generation,
    Hit,
    Json,
    Outcome,
    ParsedDocument,
    Payload,
    Points,
    RunRecord,
    RunState,
    SnapshotInfo,
    SourceEntry,
    SparseVector,
    StoredPoint,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines_persistence.records import Matrix


class Source(Protocol):
    """A tree of documents somewhere: a folder, a file, an archive, a bucket."""

    @property
    def name(self) -> str:
        """The name in the configuration."""

    @property
    def metadata(self) -> Mapping[str, Json]:
        """What the configuration says of every document of this source."""

    def entries(self) -> Iterator[SourceEntry]:
        """List the documents in a stable order.

        Raises:
            SourceUnavailable: the listing failed; a partial listing is never passed off as whole.
        """

    def read(self, entry: SourceEntry, limit: int) -> bytes:
        """Return the content of an entry.

        Raises:
            DocumentError: this document cannot be read, or is larger than `limit` bytes.
            SourceUnavailable: the whole source went away.
        """


class DocumentParser(Protocol):
    """Turns bytes into text."""

    @property
    def version(self) -> str:
        """Changes whenever the same bytes may give another text; part of the fingerprint."""

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the text of a document, by its content first and its suffix second.

        Raises:
            DocumentError: with the reason why there is no text.
        """


class Tokenizer(Protocol):
    """Counts as the embedding model counts."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens and without a limit."""


class Embedder(Protocol):
    """Turns texts into vectors. Cheap to make: a model is loaded by the first `embed_*`."""

    @property
    def fingerprint(self) -> str:
        """Identifies everything that decides a vector: model, weights, precision, pooling, version."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    @property
    def max_tokens(self) -> int:
        """The model's limit for one text, special tokens included."""

    @property
    def special_tokens(self) -> int:
        """How many of `max_tokens` the model spends on every text."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own; does not load the model."""

    def embed_documents(self, texts: Sequence[str]) -> "Matrix":
        """Return an array of shape (len(texts), dimension), float32, rows in the order of `texts`.

        Raises:
            EmbeddingError: the model fails on these texts.
        """

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Return an array of shape (dimension,), float32."""


class SparseEmbedder(Protocol):
    """Turns texts into sparse vectors by their words. The store weighs the words by their rarity (IDF)."""

    @property
    def fingerprint(self) -> str:
        """Identifies everything that decides a vector."""

    def embed_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Return a vector for each text; one without any word has an empty vector."""

    def embed_query(self, text: str) -> SparseVector:
        """Return the vector of a question."""


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


class Ledger(Protocol):
    """The record of what each generation of each index should hold.

    Writes are transactions: each method leaves all of its effect or none. Every method raises
    `StorageError` when the ledger cannot be written.
    """

    def live(self, index: str) -> Generation | None:
        """The generation that readers see, or None."""

    def live_generations(self) -> list[Generation]:
        """The live generation of each index, by name."""

    def by_collection(self, collection: str) -> Generation | None:
        """The generation that built a collection."""

    def find(self, index: str, fingerprint: str) -> Generation | None:
        """The live or building generation under a fingerprint, or None."""

    def open(self, index: str, fingerprint: str, configuration: str) -> Generation:
        """Return what `find` finds, its configuration brought up to date, or a new generation to build."""

    def promote(self, generation: Generation) -> None:
        """Make a generation the live one; the one before is retired."""

    def superseded(self, index: str) -> list[Generation]:
        """Generations that can be dropped: abandoned while building, or retired before the last retired one."""

    def remove(self, generation: Generation) -> None:
        """Forget a generation with its documents and chunks."""

    def documents(self, generation: Generation) -> Iterator[DocumentRecord]:
        """Walk over the documents of a generation in bounded memory."""

    def chunks(self, document_id: int) -> list[ChunkRecord]:
        """The chunks of a document, pending ones included."""

    def begin(self, generation: Generation, drafts: Sequence[Draft]) -> list[Draft]:
        """Record what is about to be written, before it is: after a crash nothing in the store is unknown.

        Returns the drafts with their documents' ids. A known document keeps its record until `finish`.
        """

    def finish(self, generation: Generation, drafts: Sequence[Draft]) -> None:
        """Record that the points of these documents are written and their stale ones are gone."""

    def record(self, generation: Generation, documents: Sequence[DocumentRecord]) -> None:
        """Write the outcome of documents whose chunks do not change."""

    def forget(self, generation: Generation, document_ids: Sequence[int]) -> None:
        """Remove documents and their chunks, after their points are gone."""

    def live_points(self, generation: Generation) -> int:
        """Number of points that the store must hold."""

    def points(self, generation: Generation) -> Iterator[tuple[str, bool]]:
        """Walk over the ids of all points, pending ones included, and whether the store must hold each."""

    def doubt(self, generation: Generation) -> None:
        """Let the next run examine every document and write every chunk again."""

    def totals(self, generation: Generation) -> dict[Outcome, int]:
        """Number of documents by outcome."""

    def content_version(self, generation: Generation) -> str:
        """A hash of all documents and their content: equal means that the index holds the same."""

    def start_run(self, index: str) -> int:
        """Record that a run begins; returns its id. Runs left over by a crash are closed as failed."""

    def finish_run(self, run_id: int, state: RunState, report: str) -> None:
        """Record how a run ended."""

    def runs(self, index: str, limit: int) -> list[RunRecord]:
        """The last runs of an index, the newest first."""

    def close(self) -> None:
        """Release connections."""


class EmbeddingCache(Protocol):
    """Vectors by model and text: a text is embedded once, wherever it stands."""

    def get(self, model: str, text_hashes: Sequence[str]) -> "dict[str, NDArray[np.float32]]":
        """Return the vectors that are known, each of shape (dimension,)."""

    def known(self, model: str, text_hashes: Sequence[str]) -> set[str]:
        """Return the hashes that `get` would find, without reading a vector."""

    def put(self, model: str, text_hashes: Sequence[str], vectors: "Matrix") -> None:
        """Keep vectors of shape (len(text_hashes), dimension)."""


class RunRecording(Protocol):
    """The history of one run while it goes on. Nothing here raises: a run does not fail for want of a historian."""

    def batch(self, documents: Sequence[DocumentRecord], embedded: Sequence[int]) -> None:
        """Record that these documents, at least one, were written together; `embedded` texts for each of them."""

    def failed(self, documents: Sequence[DocumentRecord]) -> None:
        """Record that these documents, at least one, could not be indexed; each has its reason in `detail`."""

    def finished(self, state: RunState, reason: str, numbers: Mapping[str, int | float]) -> None:
        """Record how the run ended, why, and what it did in all; `state` is not RUNNING."""


class RunRecorder(Protocol):
    """Keeps the history of runs, beside the ledger, which keeps their result."""

    def settle(self, run: RunRecord) -> None:
        """See to it that the history of the run before has an end: that of the ledger, or that the run was killed.

        Raises:
            DatabaseUnavailable, StorageError: the history cannot be written.
        """

    def started(self, run: RunRecord) -> RunRecording:
        """Record that a run begins.

        Raises:
            DatabaseUnavailable, StorageError: the history cannot be written; nothing was begun.
        """
