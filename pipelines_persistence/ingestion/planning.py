"""Counts what a run would do, and does none of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipelines_persistence.ingestion.examination import Examination
from pipelines_persistence.ingestion.report import Report
from pipelines_persistence.ports import EmbeddingCache
from pipelines_persistence.records import DocumentRecord


@dataclass
class Planner:
    """Takes what `writing.Writer` takes, and only counts."""

    model: str
    cache: EmbeddingCache
    report: Report
    _planned: set[str] = field(default_factory=set)

    def add(self, examination: Examination) -> None:
        """Take an examined document."""
        self.report.count(examination.change, examination.record)
        if examination.draft is None:
            return
        tokens = {point.record.text_hash: point.record.tokens for point in examination.new}
        unknown = tokens.keys() - self._planned - self.cache.known(self.model, list(tokens))
        self._planned |= unknown
        self.report.chunks += examination.record.chunks
        self.report.embedded += len(unknown)
        self.report.reused += examination.record.chunks - len(unknown)
        self.report.tokens += sum(tokens[text_hash] for text_hash in unknown)
        self.report.points += examination.record.chunks - (
            examination.known.chunks if examination.known else 0
        )

    def flush(self) -> None:
        """Nothing is held back."""

    def remove(self, documents: Iterable[DocumentRecord]) -> None:
        """Count the points that would go."""
        self.report.points -= sum(document.chunks for document in documents)
