"""Walks over the sources once and hands a sink what is added, changed, moved and deleted."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pipelines_persistence.configuration import DeletionGuard
from pipelines_persistence.ingestion.examination import Examination, Examiner
from pipelines_persistence.ingestion.report import Change, Report
from pipelines_persistence.ports import Source
from pipelines_persistence.records import DocumentRecord, Outcome

_NOTIFY_EVERY = 64


class Sink(Protocol):
    """What is done with the result: `Writer` writes it, `Planner` counts it."""

    def add(self, examination: Examination) -> None:
        """Take an examined document."""

    def flush(self) -> None:
        """Finish what was taken."""

    def remove(self, documents: Iterable[DocumentRecord]) -> None:
        """Take documents out of the index."""


@dataclass
class Reconciliation:
    """One pass over the sources of an index.

    Attributes:
        known: the ledger's documents by (source, path).
        approved: how many deletions a person has approved beyond what the guard lets through.
        notify: called now and then; it may raise `RunCancelled`.
    """

    known: dict[tuple[str, str], DocumentRecord]
    examiner: Examiner
    sink: Sink
    guard: DeletionGuard
    approved: int
    report: Report
    notify: Callable[[], None]
    _moved: list[DocumentRecord] = field(default_factory=list)
    _kept: list[DocumentRecord] = field(default_factory=list)
    _emptied: list[Examination] = field(default_factory=list)

    def run(self, sources: Sequence[Source]) -> None:
        """List everything before anything is touched: a listing that fails deletes nothing.

        Raises:
            SourceUnavailable: a source cannot be listed.
        """
        with self.report.stage("list"):
            entries = [(source, entry) for source in sources for entry in source.entries()]
        self.report.total = len(entries)
        listed = {(entry.source, entry.path) for _, entry in entries}
        gone = {key: record for key, record in self.known.items() if key not in listed}
        movable = _by_content(gone.values())
        for position, (source, entry) in enumerate(entries):
            known = self.known.get((entry.source, entry.path))
            self._take(self.examiner.examine(source, entry, known), movable)
            if position % _NOTIFY_EVERY == 0:
                self.notify()
        self.sink.flush()
        for record in (*self._moved, *self._kept):
            del gone[record.key]
        self.sink.remove(self._moved)  # only now: the points at the new place are written
        emptied = {member.record.key for member in self._emptied}
        self._delete(
            list(gone.values()), alive={source for source, path in listed if (source, path) not in emptied}
        )

    def _take(self, examination: Examination, movable: dict[str, list[DocumentRecord]]) -> None:
        record, known = examination.record, examination.known
        origins = movable.get(record.content_hash or "")
        if examination.change is Change.ADDED and origins:
            self._moved.append(origins.pop())
            examination = replace(examination, change=Change.MOVED)
        elif examination.change is Change.FAILED and known is None and origins:
            # It was moved and cannot be indexed at its new place: the last good version stays where it was.
            self._kept.append(origins.pop())
        if examination.change is Change.SKIPPED and known and known.chunks:
            # There was text, and now there is none: a deletion by another name.
            self._emptied.append(examination)
        else:
            self.sink.add(examination)

    def _delete(self, gone: list[DocumentRecord], alive: set[str]) -> None:
        emptied = [examination.known for examination in self._emptied if examination.known]
        withheld = self._withheld([*gone, *emptied], alive)
        if withheld:
            self.report.documents[Change.WITHHELD] = len(withheld)
            self._tell(
                f"{len(withheld)} documents are gone from the sources; their deletion is withheld, for it looks like "
                f"an accident. If it is meant, run again with --approve-deletions {len(withheld)}"
            )
        deleted = [record for record in gone if record.key not in withheld]
        self._emptied = [member for member in self._emptied if member.record.key not in withheld]
        self.sink.remove([*deleted, *(member.known for member in self._emptied if member.known)])
        for examination in self._emptied:
            self.sink.add(
                replace(examination, known=None, record=replace(examination.record, id=0, chunks=0))
            )
        self.sink.flush()
        self.report.documents[Change.DELETED] += len(deleted)
        if self._emptied:
            self._tell(f"{len(self._emptied)} documents have no text any more and lost their chunks")

    def _withheld(self, losing: list[DocumentRecord], alive: set[str]) -> set[tuple[str, str]]:
        """Return what must not be deleted: all, if it is too much at once, else what a source with nothing left held."""
        losing = [record for record in losing if record.chunks]
        indexed = sum(1 for record in self.known.values() if record.chunks)
        if not exceeds(self.guard, len(losing), indexed):
            losing = [record for record in losing if record.source not in alive]
        return {record.key for record in losing} if len(losing) > self.approved else set()

    def _tell(self, sentence: str) -> None:
        self.report.notice = "; ".join(filter(None, (self.report.notice, sentence)))


def exceeds(guard: DeletionGuard, losing: int, indexed: int) -> bool:
    """Whether a loss is over both the number and the share that pass without a question."""
    return losing > guard.documents and losing > guard.share * indexed


def _by_content(records: Iterable[DocumentRecord]) -> dict[str, list[DocumentRecord]]:
    by_content: dict[str, list[DocumentRecord]] = defaultdict(list)
    for record in records:
        if record.outcome is Outcome.INDEXED and record.content_hash:
            by_content[record.content_hash].append(record)
    return dict(by_content)
