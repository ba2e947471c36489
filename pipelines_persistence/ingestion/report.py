"""What a run did, or would do: the numbers that the terminal, the UI and scripts see."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from pipelines_persistence.records import DocumentRecord, Json


class Change(StrEnum):
    """What a run finds a document to be, compared with the ledger."""

    ADDED = "added"
    CHANGED = "changed"
    MOVED = "moved"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Problem:
    """A document that is not in the index, or not in its newest version, and why."""

    source: str
    document: str
    reason: str


@dataclass(slots=True)
class Report:
    """The running totals of one run.

    Attributes:
        total: documents listed.
        documents: number of documents by what was found.
        chunks: of the documents that were added, changed or moved.
        embedded: texts sent to the embedder; `tokens` is their sum.
        reused: chunks that needed no embedding.
        points: in the collection when the run ends; in a plan, as expected then.
        stages: seconds spent by stage.
        notice: what a person should know or decide, such as deletions that were withheld.
    """

    index: str
    collection: str
    total: int = 0
    documents: dict[Change, int] = field(default_factory=lambda: dict.fromkeys(Change, 0))
    chunks: int = 0
    embedded: int = 0
    tokens: int = 0
    reused: int = 0
    points: int = 0
    seconds: float = 0.0
    notice: str = ""
    failures: list[Problem] = field(default_factory=list)
    skips: list[Problem] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def examined(self) -> int:
        """Documents of the listing that have been compared so far."""
        outside = (Change.DELETED, Change.WITHHELD)
        return sum(count for change, count in self.documents.items() if change not in outside)

    def count(self, change: Change, record: DocumentRecord) -> None:
        """Add one document."""
        self.documents[change] += 1
        if change in (Change.FAILED, Change.SKIPPED):
            problems = self.failures if change is Change.FAILED else self.skips
            problems.append(Problem(record.source, record.path, record.detail))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - start

    def numbers(self) -> dict[str, int | float]:
        """The totals alone: documents by what was found, then the rest."""
        return {
            **{str(change): count for change, count in self.documents.items()},
            "chunks": self.chunks,
            "embedded": self.embedded,
            "reused": self.reused,
            "tokens": self.tokens,
            "points": self.points,
            "seconds": round(self.seconds, 3),
        }

    def as_json(self) -> dict[str, Json]:
        """The report as the CLI prints it."""
        return {
            "index": self.index,
            "collection": self.collection,
            "documents": {str(change): count for change, count in self.documents.items()},
            "chunks": self.chunks,
            "embedded": self.embedded,
            "reused": self.reused,
            "points": self.points,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
            "stages": {stage: round(seconds, 3) for stage, seconds in self.stages.items()},
            "notice": self.notice,
            "failures": [_problem(problem) for problem in self.failures],
            "skips": [_problem(problem) for problem in self.skips],
        }


def _problem(problem: Problem) -> dict[str, Json]:
    return {"document": problem.document, "source": problem.source, "reason": problem.reason}
