"""Writes examined documents to the store in batches, such that a crash at any moment loses and leaves nothing.

The order for a batch: embed (and cache the vectors), record the intent in the ledger, write the new points,
remove the stale ones, record the result. Whatever the ledger does not know is not in the store.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pipelines_persistence.errors import DocumentError, EmbeddingError, Reason
from pipelines_persistence.ingestion.examination import Examination, NewPoint, refused
from pipelines_persistence.ingestion.identity import vector_space
from pipelines_persistence.ingestion.report import Change, Report
from pipelines_persistence.ingestion.vectors import embed
from pipelines_persistence.ports import (
    Embedder,
    EmbeddingCache,
    Ledger,
    RunRecording,
    SparseEmbedder,
    VectorStore,
)
from pipelines_persistence.records import DocumentRecord, Draft, Generation, Points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = dict[str, NDArray[np.float32]]

_TEXTS = 512  # a batch: enough for an embedder to sort by length, little enough to stop and report often
_DOCUMENTS = 256
_POINTS = 256


@dataclass
class Writer:
    """Collects examinations and writes them a batch at a time.

    Attributes:
        recording: told of each batch when it is written.
        notify: called after each step that takes time; it may raise `RunCancelled`.
        sparse: gives the sparse vectors; quick enough that they are kept nowhere.
    """

    generation: Generation
    ledger: Ledger
    store: VectorStore
    embedder: Embedder
    cache: EmbeddingCache
    report: Report
    recording: RunRecording
    notify: Callable[[], None]
    sparse: SparseEmbedder | None = None
    _batch: list[Examination] = field(default_factory=list)
    _outcomes: list[DocumentRecord] = field(default_factory=list)
    _fresh: set[str] = field(default_factory=set)
    _errors: dict[str, EmbeddingError] = field(default_factory=dict)
    _failed: list[DocumentRecord] = field(default_factory=list)

    def add(self, examination: Examination) -> None:
        """Take an examined document; writes when a batch is full.

        Raises:
            EmbeddingError: the embedder fails on everything.
        """
        if examination.draft:
            self._batch.append(examination)
        else:
            self._settle(examination)
        texts = sum(len(member.new) for member in self._batch)
        if texts >= _TEXTS or len(self._batch) + len(self._outcomes) >= _DOCUMENTS:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        batch, self._batch = self._batch, []
        vectors = self._vectors(batch)
        accepted = []
        for examination in batch:
            error = self._error_of(examination)
            if error is None:
                accepted.append(examination)
            else:
                self._settle(refused(examination.record, examination.known, error))
        self._write(accepted, vectors)
        outcomes, self._outcomes = self._outcomes, []
        if outcomes:
            with self.report.stage("record"):
                self.ledger.record(self.generation, outcomes)
        failed, self._failed = self._failed, []
        if failed:
            self.recording.failed(failed)
        self.notify()

    def remove(self, documents: Iterable[DocumentRecord]) -> None:
        """Take documents out of the index: points first, then the record of them."""
        for page in _pages(documents, _DOCUMENTS):
            with self.report.stage("delete"):
                ids = [chunk.point_id for document in page for chunk in self.ledger.chunks(document.id)]
                self.store.delete(self.generation.collection, ids)
                self.ledger.forget(self.generation, [document.id for document in page])
            self.notify()

    def _settle(self, examination: Examination) -> None:
        """Take a document of which nothing is written to the store."""
        self.report.count(examination.change, examination.record)
        if examination.change is Change.FAILED:
            self._failed.append(examination.record)
        if examination.record != examination.known:
            self._outcomes.append(examination.record)

    def _error_of(self, examination: Examination) -> DocumentError | None:
        failed = (self._errors.get(point.record.text_hash) for point in examination.new)
        error = next(filter(None, failed), None)
        return DocumentError(Reason.NOT_EMBEDDABLE, str(error)) if error else None

    def _vectors(self, batch: Sequence[Examination]) -> "Vectors":
        """Return a vector for each new text: from the cache, or embedded now. A text that fails has none."""
        texts = {point.record.text_hash: point for examination in batch for point in examination.new}
        vectors = self.cache.get(vector_space(self.embedder), list(texts)) if texts else {}
        missing = [point for text_hash, point in texts.items() if text_hash not in vectors]
        for page in _pages(missing, _TEXTS):
            found = self._embed(page)
            if not found and not self.report.embedded and len(page) > 1:
                raise self._errors[page[0].record.text_hash]  # nothing ever worked: no document is to blame
            vectors.update(found)
            self.notify()
        return vectors

    def _embed(self, points: Sequence[NewPoint]) -> "Vectors":
        hashes = [point.record.text_hash for point in points]
        try:
            with self.report.stage("embed"):
                rows = embed(self.embedder, [point.text for point in points])
        except EmbeddingError as error:
            if len(points) == 1:
                self._errors[hashes[0]] = error
                return {}
            middle = len(points) // 2  # find the texts that fail, and keep the others
            return self._embed(points[:middle]) | self._embed(points[middle:])
        with self.report.stage("record"):
            self.cache.put(vector_space(self.embedder), hashes, rows)
        self._fresh.update(hashes)
        self.report.embedded += len(points)
        self.report.tokens += sum(point.record.tokens for point in points)
        return dict(zip(hashes, rows, strict=True))

    def _write(self, batch: Sequence[Examination], vectors: "Vectors") -> None:
        if not batch:
            return
        with self.report.stage("record"):
            drafts = self.ledger.begin(self.generation, [member.draft for member in batch if member.draft])
        with self.report.stage("write"), self.store.session(self.generation.collection):
            self._write_points(batch, drafts, vectors)
        with self.report.stage("record"):
            self.ledger.finish(self.generation, drafts)
        embedded = [self._count_written(examination) for examination in batch]
        self.recording.batch([examination.record for examination in batch], embedded)

    def _write_points(
        self, batch: Sequence[Examination], drafts: Sequence[Draft], vectors: "Vectors"
    ) -> None:
        collection = self.generation.collection
        for page in _pages((point for member in batch for point in member.new), _POINTS):
            self.store.upsert(collection, _as_points(page, vectors, self.sparse))
        payloads = {key: value for member in batch for key, value in member.payloads.items()}
        if payloads:
            self.store.set_payloads(collection, payloads)
        stale = [point for draft in drafts for point in draft.stale]
        if stale:
            self.store.delete(collection, stale)

    def _count_written(self, examination: Examination) -> int:
        """Add a document to the report, and return how many of its texts were embedded for it."""
        self.report.count(examination.change, examination.record)
        hashes = {point.record.text_hash for point in examination.new} & self._fresh
        self._fresh -= hashes
        self.report.chunks += examination.record.chunks
        self.report.reused += examination.record.chunks - len(hashes)
        return len(hashes)


def _as_points(points: Sequence[NewPoint], vectors: "Vectors", sparse: SparseEmbedder | None) -> Points:
    import numpy as np

    return Points(
        ids=[point.record.point_id for point in points],
        vectors=np.stack([vectors[point.record.text_hash] for point in points]),
        payloads=[point.payload for point in points],
        sparse=sparse.embed_documents([point.text for point in points]) if sparse else None,
    )


_T = TypeVar("_T")


def _pages(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while page := list(itertools.islice(iterator, size)):
        yield page
