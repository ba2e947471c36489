"""The record of what should be, and the history of runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from pipelines_persistence.records import (
    ChunkRecord,
    DocumentRecord,
    Draft,
    Generation,
    Outcome,
    RunRecord,
    RunState,
)


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
