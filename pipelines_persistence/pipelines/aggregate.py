"""The rules of a pipeline: what may be recorded of it, and the state that follows."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import msgspec

from pipelines_persistence.errors import CommandRefused
from pipelines_persistence.events import Aggregate
from pipelines_persistence.pipelines.events import (
    Episode,
    IngestBatch,
    IngestBatchFailed,
    PipelineCreated,
    PipelineStatus,
    PipelineStatusChanged,
    PipelineTagged,
    PipelineUntagged,
    ReasoningStep,
    StepExecution,
    StepStatus,
    ToolExecution,
)
from pipelines_persistence.pipelines.state import PipelineState, evolve

_TAGS = 64
_LONGEST = 500  # characters of a name, a tag's key and a tag's value


class PipelineAggregate(Aggregate[PipelineState]):
    """One pipeline, whatever it does: ingests, reasons, runs steps. Its stream is `pipeline-<id>`.

    Each method records one event, or none where nothing changes, and raises `CommandRefused` where a rule forbids it.
    """

    category = "pipeline"

    @staticmethod
    def initial() -> PipelineState:
        """See `Aggregate`."""
        return PipelineState()

    @staticmethod
    def evolve(state: PipelineState, event: msgspec.Struct) -> PipelineState:
        """See `Aggregate`."""
        return evolve(state, event)

    @classmethod
    def create(
        cls,
        id: str,  # noqa: A002 - the property's name
        name: str,
        tags: Mapping[str, str] | None = None,
        *,
        occurred_at: datetime | None = None,
    ) -> Self:
        """Return a new pipeline.

        Args:
            id: nobody else's; saving it under one that is taken is a `ConcurrencyConflict`.
            name: for people.
            tags: what it is found by; at most 64.
            occurred_at: aware; now by default.
        """
        _require_text("the id", id)
        _require_text("the name", name)
        pipeline = cls(id)
        pipeline.record(PipelineCreated(name, pipeline._fitting(tags or {})), occurred_at=occurred_at)
        return pipeline

    def update_status(
        self,
        status: PipelineStatus,
        reason: str = "",
        *,
        numbers: Mapping[str, int | float] | None = None,
        occurred_at: datetime | None = None,
    ) -> None:
        """Give it another status; the same one again records nothing.

        What has ended does not end otherwise; it may begin anew (Created, Queued, Running, Paused).

        Args:
            status: the new one.
            reason: why, for people.
            numbers: what it has done, where it ends.
            occurred_at: aware; now by default.
        """
        self._require_created()
        before = self.state.status
        if status is before:
            return
        if before.is_final and status.is_final:
            raise CommandRefused(
                f"the pipeline {self.id!r} has ended as {before}: it cannot end as {status} as well"
            )
        self.record(
            PipelineStatusChanged(status, before, reason, dict(numbers or {})), occurred_at=occurred_at
        )

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change their values; what stands already is left out."""
        self._require_created()
        new = {key: value for key, value in self._fitting(tags).items() if self.state.tags.get(key) != value}
        if new:
            self.record(PipelineTagged(new))

    def untag(self, keys: Collection[str]) -> None:
        """Take tags away by their keys; those that are not there are left out."""
        self._require_created()
        gone = tuple(sorted(self.state.tags.keys() & set(keys)))
        if gone:
            self.record(PipelineUntagged(gone))

    def record_reasoning(
        self,
        kind: str,
        state_text: str,
        *,
        branch: str = "main",
        prompt: str = "",
        tools: Sequence[ToolExecution] = (),
    ) -> None:
        """Record that a line of reasoning has come to a state; see `ReasoningStep`."""
        self._require_created()
        _require_text("the kind of a reasoning step", kind)
        _require_text("the branch", branch)
        self.record(ReasoningStep(str(kind), state_text, branch, prompt, tuple(tools)))

    def record_batch(
        self, source: str, ids: Sequence[str], *, chunks: int = 0, embedded: int = 0, reused: int = 0
    ) -> None:
        """Record that documents of one source were written together; see `IngestBatch`."""
        self._require_created()
        self._require_ids(ids, "record a failure with fail_batch, and nothing where nothing was written")
        if min(chunks, embedded, reused) < 0:
            raise CommandRefused(
                f"a batch of {chunks} chunks, {embedded} embedded, {reused} reused: count from 0"
            )
        self.record(IngestBatch(source, tuple(ids), len(ids), chunks, embedded, reused))

    def fail_batch(self, source: str, ids: Sequence[str], error_type: str, message: str = "") -> None:
        """Record that documents of one source could not be indexed; see `IngestBatchFailed`."""
        self._require_created()
        self._require_ids(ids, "name the documents that failed")
        _require_text("the type of the error", error_type)
        self.record(IngestBatchFailed(source, tuple(ids), error_type, message))

    def record_step(
        self,
        name: str,
        status: StepStatus,
        *,
        started_at: datetime,
        finished_at: datetime | None = None,
        error: str = "",
    ) -> None:
        """Record that a step began or ended; see `StepExecution`. Both moments are aware."""
        self._require_created()
        _require_text("the name of a step", name)
        if finished_at is not None and finished_at < started_at:
            raise CommandRefused(
                f"the step {name!r} cannot finish at {finished_at}, before it started at {started_at}"
            )
        self.record(StepExecution(name, status, started_at, finished_at, error))

    def record_episode(
        self,
        environment: str,
        *,
        success: bool,
        steps: int,
        total_reward: float = 0.0,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that an agent went through an environment; see `Episode`. Both moments are aware."""
        self._require_created()
        _require_text("the environment", environment)
        if steps < 0:
            raise CommandRefused(f"an episode of {steps} steps: count from 0")
        self.record(
            Episode(environment, success, steps, total_reward, started_at, finished_at, dict(metadata or {}))
        )

    def _require_created(self) -> None:
        if self.version == 0:
            raise CommandRefused(
                f"the pipeline {self.id!r} does not exist: begin with PipelineAggregate.create"
            )

    def _require_ids(self, ids: Sequence[str], advice: str) -> None:
        if not ids:
            raise CommandRefused(f"a batch without documents is no batch: {advice}")
        if len(set(ids)) < len(ids):
            raise CommandRefused("a document is named twice in one batch: name each once")

    def _fitting(self, tags: Mapping[str, str]) -> dict[str, str]:
        for key, value in tags.items():
            _require_text("the key of a tag", key)
            _require_text(f"the tag {key!r}", value)
        if len(self.state.tags.keys() | tags.keys()) > _TAGS:
            raise CommandRefused(f"a pipeline has at most {_TAGS} tags: take some away with untag")
        return dict(tags)


def _require_text(name: str, text: str) -> None:
    if not text.strip() or len(text) > _LONGEST:
        raise CommandRefused(f"{name} has {len(text.strip())} characters: it takes 1 to {_LONGEST}")
