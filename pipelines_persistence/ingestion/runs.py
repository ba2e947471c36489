"""A run from its beginning to its end, however it ends: in the ledger, and with whoever keeps the history."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pipelines_persistence.errors import PipelinesError, RunCancelled
from pipelines_persistence.ingestion.report import Report
from pipelines_persistence.ports import Ledger, RunRecorder, RunRecording
from pipelines_persistence.records import DocumentRecord, RunRecord, RunState


class _Silent:
    """Keeps no history."""

    def settle(self, run: RunRecord) -> None:
        """See `RunRecorder`."""

    def started(self, run: RunRecord) -> RunRecording:  # noqa: ARG002 - the port's signature
        """See `RunRecorder`."""
        return self

    def batch(self, documents: Sequence[DocumentRecord], embedded: Sequence[int]) -> None:
        """See `RunRecording`."""

    def failed(self, documents: Sequence[DocumentRecord]) -> None:
        """See `RunRecording`."""

    def finished(self, state: RunState, reason: str, numbers: Mapping[str, int | float]) -> None:
        """See `RunRecording`."""


SILENT = _Silent()
"""A `RunRecorder` that keeps no history."""


@contextmanager
def recorded(ledger: Ledger, recorder: RunRecorder, report: Report) -> Iterator[RunRecording]:
    """Record the block as a run of the report's index, whose lock is held.

    Yields:
        What is told of the batches.

    Raises:
        DatabaseUnavailable, StorageError: the beginning cannot be recorded; the block was not entered.
    """
    started = time.perf_counter()
    for last in ledger.runs(report.index, 1):
        recorder.settle(last)  # one that seems to be running is dead: the lock is held here
    run_id = ledger.start_run(report.index)
    recording: RunRecording = SILENT
    state, reason = RunState.CANCELLED, ""  # also by what is no Exception: a host's own way to interrupt
    try:
        [run] = ledger.runs(report.index, 1)
        recording = recorder.started(run)
        yield recording
        state, reason = RunState.DONE, report.notice
    except RunCancelled as error:
        reason = str(error)
        raise
    except Exception as error:
        # Ours are fit to be shown; what others say may hold anything.
        told = f": {error}" if isinstance(error, PipelinesError) else ""
        state, reason = RunState.FAILED, f"{type(error).__name__}{told}"
        raise
    finally:
        report.seconds = time.perf_counter() - started
        recording.finished(state, reason, report.numbers())
        ledger.finish_run(run_id, state, json.dumps(report.as_json()))
