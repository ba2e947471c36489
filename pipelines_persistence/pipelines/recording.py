"""Ingestion runs as pipelines: each run is a stream, `pipeline-<index>-<moment>-<number>`.

The index is the truth about what was done, and the stream its history: when the event store cannot be reached, a run
does not begin; when it is lost on the way, the run goes on, says so once, and its last event tells how much is missing.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC

import msgspec

from pipelines_persistence.errors import PermanentError
from pipelines_persistence.events import AggregateRepository, EventStore
from pipelines_persistence.pipelines.aggregate import PipelineAggregate
from pipelines_persistence.pipelines.events import PipelineStatus, PipelineStatusChanged, registry
from pipelines_persistence.records import DocumentRecord, RunRecord, RunState

_log = logging.getLogger(__name__)

_ACTOR = "ingestion"
_ENDINGS = {
    RunState.DONE: PipelineStatus.COMPLETED,
    RunState.FAILED: PipelineStatus.FAILED,
    RunState.CANCELLED: PipelineStatus.CANCELLED,
}
_KILLED = "the run was killed, or its machine went down; the next run goes on from there"
_LATE = "recorded by the next run: the event store did not take it when the run ended"


def pipeline_id(run: RunRecord) -> str:
    """Return the id of a run's pipeline: of no other run, in whatever home, as long as no two begin in one microsecond."""
    return f"{run.index}-{run.started_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{run.id}"


class PipelineRecorder:
    """The `RunRecorder` port over an event store."""

    def __init__(self, events: Callable[[], EventStore]) -> None:
        """Take what opens the event store: that waits until a run begins, for a plan needs none."""
        self._events = events

    def settle(self, run: RunRecord) -> None:
        """See `RunRecorder`."""
        try:
            self._settle(run)
        except PermanentError as error:
            # A stream that takes no event, such as an archived one, must not keep the index from running ever again.
            _log.warning("the end of the run %d of %r is not recorded: %s", run.id, run.index, error)

    def _settle(self, run: RunRecord) -> None:
        store, repository = self._events(), self._repository()
        stream = PipelineAggregate.stream_of(pipeline_id(run))
        version = store.version(stream)
        last = next(store.read(stream, version, version), None)
        if last is None or _is_end(registry.decode(last)):
            return
        pipeline = repository.load(pipeline_id(run))
        status = _ENDINGS.get(run.state, PipelineStatus.FAILED)
        pipeline.update_status(status, _KILLED if run.state is RunState.RUNNING else _LATE)
        repository.save(pipeline, correlation_id=pipeline.id, actor=_ACTOR)

    def started(self, run: RunRecord) -> "PipelineRecording":
        """See `RunRecorder`."""
        pipeline = PipelineAggregate.create(
            pipeline_id(run), run.index, {"index": run.index, "kind": "ingest"}
        )
        pipeline.update_status(PipelineStatus.RUNNING)
        recording = PipelineRecording(self._repository(), pipeline)
        recording.save()
        return recording

    def _repository(self) -> AggregateRepository[PipelineAggregate]:
        return AggregateRepository(self._events(), None, PipelineAggregate, registry=registry)


class PipelineRecording:
    """The `RunRecording` port: one run, as it goes on. Nothing here raises once the run has begun."""

    def __init__(
        self, repository: AggregateRepository[PipelineAggregate], pipeline: PipelineAggregate
    ) -> None:
        """Take a pipeline that has begun, and what saves it."""
        self._repository = repository
        self._pipeline = pipeline
        self._missed = 0

    def batch(self, documents: Sequence[DocumentRecord], embedded: Sequence[int]) -> None:
        """See `RunRecording`; one event for each source of the batch."""
        by_source: dict[str, list[tuple[DocumentRecord, int]]] = defaultdict(list)
        for document, texts in zip(documents, embedded, strict=True):
            by_source[document.source].append((document, texts))

        def tell() -> None:
            for source, members in by_source.items():
                chunks = sum(document.chunks for document, _ in members)
                new = sum(texts for _, texts in members)
                ids = [_id(document) for document, _ in members]
                self._pipeline.record_batch(source, ids, chunks=chunks, embedded=new, reused=chunks - new)

        self._note(tell)

    def failed(self, documents: Sequence[DocumentRecord]) -> None:
        """See `RunRecording`; one event for each source and reason."""
        by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
        for document in documents:
            by_reason[document.source, document.detail].append(_id(document))

        def tell() -> None:
            for (source, detail), ids in by_reason.items():
                reason, _, message = detail.partition(": ")
                self._pipeline.fail_batch(source, ids, reason, message)

        self._note(tell)

    def finished(self, state: RunState, reason: str, numbers: Mapping[str, int | float]) -> None:
        """See `RunRecording`."""
        try:
            if self._missed:
                # What stands is asked for: the acknowledgement of what seemed to fail may only have been lost.
                self._pipeline = self._repository.load(self._pipeline.id)
                missing = (
                    f"up to {self._missed} records are missing here: the event store could not take them"
                )
                reason = "; ".join(filter(None, (reason, missing)))
            self._pipeline.update_status(_ENDINGS[state], reason, numbers=numbers)
            self.save()
        except Exception as error:  # noqa: BLE001 - the index is as it should be, whatever becomes of its history
            _log.warning(
                "the end of the run %r (%s) is not recorded as an event: %s", self._pipeline.id, state, error
            )

    def save(self) -> None:
        """Append what was recorded.

        Raises:
            PipelinesError: it could not be appended.
        """
        self._repository.save(self._pipeline, correlation_id=self._pipeline.id, actor=_ACTOR)

    def _note(self, tell: Callable[[], None]) -> None:
        if not self._missed:
            try:
                tell()
                self.save()
            except Exception as error:  # noqa: BLE001 - as in `finished`
                _log.warning(
                    "the run %r goes on, but from here to its end it is not recorded as events: %s",
                    self._pipeline.id, error,
                )  # fmt: skip
            else:
                return
        self._missed += 1


def _is_end(event: msgspec.Struct) -> bool:
    return isinstance(event, PipelineStatusChanged) and event.status.is_final


def _id(document: DocumentRecord) -> str:
    return f"{document.source}/{document.path}"
