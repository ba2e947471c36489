"""Compares one document with the ledger: what would have to be written for it, if anything."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pipelines_persistence.errors import DocumentError, PipelinesError, Reason
from pipelines_persistence.ingestion.chunking import Chunker
from pipelines_persistence.ingestion.identity import content_hash, point_id, text_hash, value_hash
from pipelines_persistence.ingestion.report import Change, Report
from pipelines_persistence.ports import DocumentParser, Ledger, Source
from pipelines_persistence.records import (
    Chunk,
    ChunkRecord,
    DocumentRecord,
    Draft,
    Outcome,
    ParsedDocument,
    Payload,
    SourceEntry,
)

PAYLOAD_VERSION = "1"
"""Changes whenever the same chunk may get another payload; part of the fingerprint."""

_SETTLED = (Outcome.INDEXED, Outcome.SKIPPED)


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A chunk that the store does not hold yet."""

    record: ChunkRecord
    text: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Examination:
    """The result for one document.

    Attributes:
        record: as the ledger should have it afterwards.
        known: as the ledger has it now.
        draft: set if chunks have to be written.
        new: chunks to embed and write.
        payloads: payloads to replace, by point id.
    """

    change: Change
    record: DocumentRecord
    known: DocumentRecord | None = None
    draft: Draft | None = None
    new: Sequence[NewPoint] = ()
    payloads: Mapping[str, Payload] = field(default_factory=dict)


@dataclass(frozen=True)
class Examiner:
    """Examines the documents of one index."""

    index: str
    parser: DocumentParser
    chunker: Chunker
    ledger: Ledger
    max_bytes: int
    report: Report

    def examine(self, source: Source, entry: SourceEntry, known: DocumentRecord | None) -> Examination:
        """Read, hash, parse and chunk as little as it takes.

        Raises:
            SourceUnavailable: the source went away.
        """
        metadata_hash = value_hash(source.metadata)
        if (
            known
            and _is_same(known, metadata_hash)
            and entry.signature
            and known.signature == entry.signature
        ):
            return _unchanged(known, known)
        digest = None
        try:
            if entry.problem:
                raise entry.problem
            with self.report.stage("read"):
                data = source.read(entry, self.max_bytes)
                digest = content_hash(data)
            record = _record(entry, known, metadata_hash, digest)
            if known and _is_same(known, metadata_hash) and known.content_hash == digest:
                return _unchanged(replace(known, signature=entry.signature, size=entry.size), known)
            return self._compare(source, record, known, data)
        except DocumentError as error:
            return refused(_record(entry, known, metadata_hash, digest), known, error)

    def _compare(
        self, source: Source, record: DocumentRecord, known: DocumentRecord | None, data: bytes
    ) -> Examination:
        parsed, chunks = self._parse(data, record.path)
        title = parsed.title or _title(record.path, chunks)
        record = replace(record, title=title, media_type=parsed.media_type, chunks=len(chunks))
        return self._draft(record, known, _points(self.index, source, record, parsed, chunks))

    def _parse(self, data: bytes, path: str) -> tuple[ParsedDocument, list[Chunk]]:
        try:
            with self.report.stage("parse"):
                parsed = self.parser.parse(data, path)
            with self.report.stage("chunk"):
                chunks = self.chunker.split(parsed)
        except PipelinesError:
            raise
        except Exception as error:  # whatever a document does to a parser, it must not stop the run
            raise DocumentError(Reason.MALFORMED, f"the parser failed with {type(error).__name__}") from error
        if not chunks:
            raise DocumentError(Reason.NO_TEXT)
        return parsed, chunks

    def _draft(
        self, record: DocumentRecord, known: DocumentRecord | None, points: Sequence[NewPoint]
    ) -> Examination:
        before = {chunk.point_id: chunk for chunk in self.ledger.chunks(known.id)} if known else {}
        live = {point: chunk.payload_hash for point, chunk in before.items() if chunk.is_live}
        chunks = [
            replace(p.record, is_live=live.get(p.record.point_id) == p.record.payload_hash) for p in points
        ]
        wanted = {chunk.point_id for chunk in chunks}
        changed = {p.record.point_id for p in points} & {c.point_id for c in chunks if not c.is_live}
        is_new = known is None or known.outcome is Outcome.PENDING
        return Examination(
            change=Change.ADDED if is_new else Change.CHANGED,
            record=record,
            known=known,
            draft=Draft(record, chunks, [point for point in before if point not in wanted]),
            new=[point for point in points if point.record.point_id not in live],
            payloads={
                p.record.point_id: p.payload for p in points if p.record.point_id in changed & live.keys()
            },
        )


def refused(record: DocumentRecord, known: DocumentRecord | None, error: DocumentError) -> Examination:
    """Return the outcome of a document that has nothing to index, or could not be indexed.

    A failure keeps the last good version: its chunks, and the hash of its content.
    """
    outcome = Outcome.SKIPPED if error.reason.is_skip else Outcome.FAILED
    record = replace(
        record,
        outcome=outcome,
        detail=str(error),
        chunks=known.chunks if known else 0,
        attempts=known.attempts + 1
        if known and outcome is Outcome.FAILED
        else int(outcome is Outcome.FAILED),
    )
    change = Change.SKIPPED if outcome is Outcome.SKIPPED else Change.FAILED
    return Examination(change, record, known)


def _unchanged(record: DocumentRecord, known: DocumentRecord) -> Examination:
    change = Change.SKIPPED if record.outcome is Outcome.SKIPPED else Change.UNCHANGED
    return Examination(change, record, known)


def _is_same(known: DocumentRecord, metadata_hash: str) -> bool:
    return known.outcome in _SETTLED and known.metadata_hash == metadata_hash


def _record(
    entry: SourceEntry, known: DocumentRecord | None, metadata_hash: str, digest: str | None
) -> DocumentRecord:
    return DocumentRecord(
        source=entry.source,
        path=entry.path,
        outcome=Outcome.INDEXED,
        content_hash=digest,
        signature=entry.signature,
        metadata_hash=metadata_hash,
        size=entry.size,
        id=known.id if known else 0,
    )


def _title(path: str, chunks: Sequence[Chunk]) -> str:
    return next((chunk.headings[0] for chunk in chunks if chunk.headings), PurePosixPath(path).stem)


def _points(
    index: str, source: Source, record: DocumentRecord, parsed: ParsedDocument, chunks: Sequence[Chunk]
) -> list[NewPoint]:
    # What the configuration says wins: a document cannot give itself another tenant or audience.
    metadata = {**parsed.metadata, **source.metadata}
    seen: Counter[str] = Counter()
    points = []
    for ordinal, chunk in enumerate(chunks):
        digest = text_hash(chunk.text)
        payload = _payload(record, metadata, ordinal, chunk)
        identity = point_id(index, record.source, record.path, digest, seen[digest])
        seen[digest] += 1
        points.append(
            NewPoint(ChunkRecord(identity, digest, value_hash(payload), chunk.tokens), chunk.text, payload)
        )
    return points


def _payload(record: DocumentRecord, metadata: Payload, ordinal: int, chunk: Chunk) -> Payload:
    return {
        "document": record.path,
        "source": record.source,
        "title": record.title,
        "text": chunk.text,
        "headings": list(chunk.headings),
        "ordinal": ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "tokens": chunk.tokens,
        "media_type": record.media_type,
        "metadata": metadata,
    }
