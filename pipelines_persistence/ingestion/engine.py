"""Keeps one index in step with its sources: `plan` says what would change, `ingest` does it."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from pipelines_persistence.configuration import IndexConfig
from pipelines_persistence.errors import AliasTaken
from pipelines_persistence.ingestion import chunking
from pipelines_persistence.ingestion.chunking import Chunker
from pipelines_persistence.ingestion.examination import PAYLOAD_VERSION, Examiner
from pipelines_persistence.ingestion.healing import difference, heal
from pipelines_persistence.ingestion.identity import value_hash, vector_space
from pipelines_persistence.ingestion.planning import Planner
from pipelines_persistence.ingestion.reconciliation import Reconciliation, Sink, exceeds
from pipelines_persistence.ingestion.report import Report
from pipelines_persistence.ingestion.runs import SILENT, recorded
from pipelines_persistence.ingestion.writing import Writer
from pipelines_persistence.ports import (
    DocumentParser,
    Embedder,
    EmbeddingCache,
    Ledger,
    RunRecorder,
    RunRecording,
    Source,
    SparseEmbedder,
    VectorStore,
)
from pipelines_persistence.records import Generation, GenerationState, Json, Outcome

Notify = Callable[[Report], None]
"""Told of the progress now and then; may raise `RunCancelled` to stop the run."""


def _silent(_report: Report) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class IndexEngine:
    """One index with everything it needs of the world.

    Attributes:
        lock: entered for the whole of `ingest`; raises `IndexBusy` when another run holds the index.
        recorder: keeps the history of each `ingest`.
        sparse: gives each point a sparse vector beside the dense one; None where the configuration asks for none.
        is_shared: whether other homes may use the same store, so that an alias may be somebody else's.
    """

    name: str
    config: IndexConfig
    sources: Sequence[Source]
    parser: DocumentParser
    embedder: Embedder
    cache: EmbeddingCache
    store: VectorStore
    ledger: Ledger
    lock: AbstractContextManager[object]
    recorder: RunRecorder = SILENT
    sparse: SparseEmbedder | None = None
    is_shared: bool = False

    @property
    def chunker(self) -> Chunker:
        """The chunker of this configuration, within the limit of the model."""
        limit = self.embedder.max_tokens
        tokens = min(self.config.chunking.tokens or limit, limit)
        embedder = self.embedder
        return Chunker(embedder.tokenizer, tokens, embedder.special_tokens, self.config.chunking.overlap)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides what a point looks like: if it changes, every point has to."""
        parts: dict[str, Json] = {
            "parser": self.parser.version,
            "chunker": [chunking.VERSION, self.chunker.tokens, self.chunker.overlap],
            "embedder": [self.embedder.fingerprint, self.embedder.dimension],
            "payload": PAYLOAD_VERSION,
            "distance": self.config.collection.distance,
        }
        # Only where they are asked for, so that an index without keeps the fingerprint it was built under.
        if self.sparse:
            parts["sparse"] = self.sparse.fingerprint
        if self.config.collection.shards:
            parts["shards"] = self.config.collection.shards
        return value_hash(parts)[:32]

    def plan(self, notify: Notify = _silent, *, approve_deletions: int = 0) -> Report:
        """Say what `ingest` would do; embeds and writes nothing.

        Raises:
            SourceUnavailable: a source cannot be listed or went away.
        """
        started = time.perf_counter()
        generation = self.ledger.find(self.name, self.fingerprint)
        report = Report(self.name, generation.collection if generation else "")
        if generation:
            report.points = sum(record.chunks for record in self.ledger.documents(generation))
            told = difference(self.ledger, self.store, generation), self._tuned(generation)
            report.notice = "; ".join(filter(None, told))
        planner = Planner(vector_space(self.embedder), self.cache, report)
        self._reconcile(generation, planner, report, notify, approve_deletions)
        report.seconds = time.perf_counter() - started
        return report

    def ingest(
        self, notify: Notify = _silent, *, approve_deletions: int = 0, take_over: bool = False
    ) -> Report:
        """Bring the index in step with its sources; after an interruption, run it again.

        A new fingerprint builds a new generation beside the live one, which readers see until the new one is whole.

        Args:
            notify: told of the progress.
            approve_deletions: how many may pass the deletion guard.
            take_over: whether to take the alias of a shared store from a home that is not this one.

        Raises:
            IndexBusy: another run holds the index.
            AliasTaken: another home has an index of that name in the same store; nothing was begun.
            SourceUnavailable: a source cannot be listed or went away; nothing was deleted.
            EmbeddingError: the embedder fails on everything.
            StoreError, StoreUnavailable, StorageError: see there.
            DatabaseUnavailable: the recorder cannot write; nothing was begun.
            RunCancelled: `notify` raised it.
        """
        with self.lock:
            if self.is_shared and not take_over:
                self._require_alias()
            generation = self.ledger.open(self.name, self.fingerprint, self.config.model_dump_json())
            report = Report(self.name, generation.collection, points=self.ledger.live_points(generation))
            with recorded(self.ledger, self.recorder, report) as recording:
                self._apply(generation, report, recording, notify, approve_deletions)
            return report

    def _require_alias(self) -> None:
        named = self.store.aliases().get(self.name)
        if named is not None and self.ledger.by_collection(named) is None:
            raise AliasTaken(
                f"the vector store's alias {self.name!r} names {named!r}, which this home's ledger does not know: another home "
                "keeps an index of that name there, or the ledger was lost. Give this index another name; or, if nobody else "
                "uses it, run again with --take-over"
            )

    def _tuned(self, generation: Generation) -> str:
        """Say what of an existing collection would be changed in place."""
        before = IndexConfig.model_validate_json(generation.configuration).collection
        changed = [
            key
            for key in type(before).model_fields
            if getattr(before, key) != getattr(self.config.collection, key)
        ]
        return f"the collection is changed in place: {', '.join(changed)}" if changed else ""

    def content_version(self) -> str | None:
        """Return a hash of what readers see: equal means that the index holds the same documents."""
        live = self.ledger.live(self.name)
        return self.ledger.content_version(live) if live else None

    def _apply(
        self,
        generation: Generation,
        report: Report,
        recording: RunRecording,
        notify: Notify,
        approve_deletions: int,
    ) -> None:
        self.store.create(generation.collection, self.config.collection.spec(self.embedder.dimension))
        report.notice = heal(self.ledger, self.store, generation)
        writer = Writer(
            generation,
            self.ledger,
            self.store,
            self.embedder,
            self.cache,
            report,
            recording,
            partial(notify, report),
            self.sparse,
        )
        self._reconcile(generation, writer, report, notify, approve_deletions)
        if generation.state is GenerationState.BUILDING:
            self._promote(generation, report, approve_deletions)
        elif self.store.aliases().get(self.name) != generation.collection:
            # It was lost with the store, or a crash came between the alias and the ledger.
            self.store.point_alias(self.name, generation.collection)
        report.points = self.store.count(generation.collection)

    def _reconcile(
        self,
        generation: Generation | None,
        sink: Sink,
        report: Report,
        notify: Notify,
        approve_deletions: int,
    ) -> None:
        documents = self.ledger.documents(generation) if generation else ()
        known = {record.key: record for record in documents}
        limit = self.config.limits.max_bytes
        examiner = Examiner(self.name, self.parser, self.chunker, self.ledger, limit, report)
        guard = self.config.deletion_guard
        told = partial(notify, report)
        Reconciliation(known, examiner, sink, guard, approve_deletions, report, told).run(self.sources)

    def _promote(self, generation: Generation, report: Report, approve_deletions: int) -> None:
        live = self.ledger.live(self.name)
        if live and (objection := self._objection(live, generation, approve_deletions)):
            report.notice = objection
            return
        self.store.point_alias(self.name, generation.collection)
        self.ledger.promote(generation)
        for old in self.ledger.superseded(self.name):
            self.store.drop(old.collection)
            self.ledger.remove(old)

    def _objection(self, live: Generation, new: Generation, approved: int) -> str:
        """Say why a generation must not replace the live one: readers would lose documents. "" if they would not."""
        held = {record.key for record in self.ledger.documents(live) if record.chunks}
        outcomes = {record.key: record for record in self.ledger.documents(new)}
        gone = {key for key in held if key not in outcomes or not outcomes[key].chunks}
        failed = {key for key in gone if key in outcomes and outcomes[key].outcome is Outcome.FAILED}
        guarded = failed or exceeds(self.config.deletion_guard, len(gone), len(held))
        if not guarded or len(gone) <= approved:
            return ""
        return (
            f"the new generation {new.collection} is not promoted: it lacks {len(gone)} documents that the live one "
            f"holds, {len(failed)} of them because they fail now. Readers still see {live.collection}. "
            f"If it is meant, run again with --approve-deletions {len(gone)}"
        )
