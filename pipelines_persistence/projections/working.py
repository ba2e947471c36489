"""Works events into one partition of a build: exactly once, and past those that cannot be worked in."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pipelines_persistence.errors import ProjectionFailed, RunCancelled, StorageError, TransientError
from pipelines_persistence.events import Batch, Cursor, EventStore, Partition, StoredEvent
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.ports import Build, CheckpointMoved, DeadLetter, ReadModels, Step
from pipelines_persistence.projections.rows import Models, Unit

MOST_DEAD = 100
"""A run that buries so many events stops: then not they are at fault, but the handler."""

# Not the event's fault: the same step may succeed later, or nothing would.
_NOT_POISON = (TransientError, StorageError, RunCancelled, MemoryError)


class OnError(StrEnum):
    """What to do with an event whose handler raises."""

    SKIP = "skip"
    """Put it among the dead letters and go on."""
    STOP = "stop"
    """Stop before it."""


@dataclass
class Tally:
    """What all workers of a run have done so far.

    Attributes:
        notify: called after each batch; may raise `RunCancelled`.
        most_dead: how many may be passed over before the run stops.
        events: how many were worked in.
        dead: how many could not be.
    """

    notify: Callable[["Tally"], None] = lambda _tally: None
    most_dead: int = MOST_DEAD
    events: int = 0
    dead: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, events: int = 0, dead: int = 0) -> None:
        """Count, from any thread."""
        with self._lock:
            self.events += events
            self.dead += dead


@dataclass
class Worker:
    """One partition of a build.

    Attributes:
        keep: events for which it is false are passed over as if they were not there.
    """

    store: EventStore
    models: ReadModels
    projection: Projection
    build: Build
    partition: int = 0
    on_error: OnError = OnError.SKIP
    keep: Callable[[StoredEvent], bool] | None = None
    tally: Tally = field(default_factory=Tally)

    def catch_up(self, until: Cursor) -> None:
        """Work in what the log holds up to a place.

        Raises:
            ProjectionFailed: an event cannot be worked in, and `on_error` says to stop; or too many cannot.
            CheckpointMoved: the build advances no more.
        """
        cursor = self._checkpoint()
        while cursor < until:
            try:
                for batch in self._batches(cursor, until):
                    cursor = self.work(cursor, batch)
                if cursor < until:  # nothing there was for this projection: look no more
                    cursor = self._move(cursor, until, [])
            except CheckpointMoved:
                cursor = self.moved(cursor)

    def moved(self, cursor: Cursor) -> Cursor:
        """Return where the checkpoint stands now, after it was found elsewhere.

        Raises:
            CheckpointMoved: it has not moved, so the build advances no more.
        """
        now = self._checkpoint()
        if now == cursor:
            raise CheckpointMoved(f"the build {self.build.id} of {self.projection.name!r} was replaced")
        return now

    def work(self, cursor: Cursor, batch: Batch) -> Cursor:
        """Work a batch in that follows a place, and return the place after it."""
        events = [event for event in batch.events if self.keep is None or self.keep(event)]
        cursor = self._apply(cursor, events, batch.cursor)
        self.tally.notify(self.tally)
        return cursor

    @property
    def share(self) -> Partition | None:
        """The streams of this partition."""
        return Partition(self.partition, self.build.partitions) if self.build.partitions > 1 else None

    def _apply(self, old: Cursor, events: Sequence[StoredEvent], new: Cursor) -> Cursor:
        try:
            return self._move(old, new, events)
        except _NOT_POISON:
            raise
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; it is kept with the dead letter
            if len(events) == 1:
                return self._bury(old, events[0], new, error)
        # Somewhere in it is an event that fails: nothing of the batch was kept, so look in each half.
        middle = len(events) // 2
        halfway = self._apply(old, events[:middle], events[middle - 1].cursor)
        return self._apply(halfway, events[middle:], new)

    def _move(self, old: Cursor, new: Cursor, events: Sequence[StoredEvent]) -> Cursor:
        def work(unit: Unit) -> None:
            if events:
                models = Models(self.projection.tables, unit)
                self.projection.work_in(events, models)
                models.flush()

        self.models.advance(Step(self.build, self.partition, old, new, len(events)), work)
        self.tally.add(events=len(events))
        return new

    def _bury(self, old: Cursor, event: StoredEvent, new: Cursor, error: Exception) -> Cursor:
        reason = f"{type(error).__name__}: {error}"
        place = f"{self.projection.name}: {event.type} at version {event.version} of {event.stream!r}"
        if self.on_error is OnError.STOP:
            raise ProjectionFailed(
                f"{place} cannot be worked in: {reason}. Mend the handler or the configuration and run again: "
                "or let such events be passed over with --on-error skip"
            ) from error
        if self.tally.dead >= self.tally.most_dead:
            raise ProjectionFailed(
                f"{place}, after {self.tally.dead} others, cannot be worked in: {reason}. Mend the handler, then rebuild"
            ) from error
        letter = DeadLetter(event.id, event.stream, event.version, event.type, event.cursor, reason)
        self.models.advance(Step(self.build, self.partition, old, new, dead=[letter]), lambda _unit: None)
        self.tally.add(dead=1)
        return new

    def _batches(self, after: Cursor, until: Cursor) -> Iterator[Batch]:
        projection = self.projection
        return self.store.batches(
            after,
            until=until,
            types=projection.taken,
            categories=projection.categories,
            partition=self.share,
            limit=projection.batch_size,
        )

    def _checkpoint(self) -> Cursor:
        return self.models.checkpoint(self.build, self.partition).cursor
