"""Keeps read models in step with the log: catches up, follows, builds anew beside the old and swaps."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from pipelines_persistence.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    ProjectionFailed,
    TransientError,
)
from pipelines_persistence.events import START, Clock, Cursor, EventStore, StoredEvent, aware
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.ports import (
    Build,
    BuildState,
    CheckpointMoved,
    NotCaughtUp,
    ReadModels,
)
from pipelines_persistence.projections.report import ProjectionReport
from pipelines_persistence.projections.working import MOST_DEAD, OnError, Tally, Worker

_LONGEST_PAUSE = 30.0  # seconds
_log = logging.getLogger(__name__)

Notify = Callable[[Tally], None]
"""Told of the progress after each batch; may raise `RunCancelled` to stop."""


def _silent(_tally: Tally) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class ProjectionRunner:
    """Runs projections of a log over read models.

    Attributes:
        partitions: into how many shares a new build of a projection `by_stream` is divided, each with a thread; an
            existing build keeps its number until it is rebuilt.
    """

    store: EventStore
    models: ReadModels
    partitions: int = 1

    def run(
        self,
        projection: Projection,
        *,
        rebuild: bool = False,
        on_error: OnError = OnError.SKIP,
        on_error_rebuilding: OnError = OnError.STOP,
        most_dead: int = MOST_DEAD,
        notify: Notify = _silent,
    ) -> ProjectionReport:
        """Work in what the log holds now. Run it again after an interruption: it goes on from there.

        A projection that was never built, or was changed, is built beside what readers see, and replaces it when it
        has caught up.

        Args:
            projection: what to run.
            rebuild: build it anew, from nothing, even though nothing was changed, or although someone went back from it.
            on_error: what to do with an event that cannot be worked in.
            on_error_rebuilding: the same, while what readers see is built anew.
            most_dead: events that a run buries before it takes the handler to be wrong.
            notify: told of the progress.

        Raises:
            ProjectionFailed: see `OnError.STOP`; readers see what they saw before.
        """
        started, tally = time.perf_counter(), Tally(notify, most_dead)
        live = self.models.live(projection.name)
        if rebuild or live is None or live.fingerprint != projection.fingerprint:
            if live and not rebuild and (notice := self._held(projection)):
                return self._report(projection, live, tally, started, notice)
            if rebuild:
                self._drop_begun(projection)
            try:
                build = self._build(projection, on_error_rebuilding if live else on_error, tally)
            except CheckpointMoved as error:
                raise DatabaseUnavailable(
                    f"{projection.name}: another process began to build it anew, and this one gives way to it"
                ) from error
            return self._report(projection, build, tally, started)
        try:
            self._catch_up(projection, live, on_error, tally)
        except CheckpointMoved:  # it was replaced meanwhile, by the same projection or another
            live = self.models.live(projection.name) or live
        return self._report(projection, live, tally, started)

    def follow(
        self,
        projection: Projection,
        stop: threading.Event,
        *,
        on_error: OnError = OnError.SKIP,
        notify: Notify = _silent,
        poll: float = 1.0,
    ) -> None:
        """Keep a read model in step until `stop` is set; only events move it, waiting costs next to nothing.

        A database that does not answer is tried again, ever less often.

        Args:
            projection: what to run.
            stop: ends it soon.
            on_error: what to do with an event that cannot be worked in.
            notify: told of the progress.
            poll: seconds between two looks, at most, where the database does not tell of news.

        Raises:
            ProjectionFailed: see `OnError.STOP`.
        """
        failures = 0
        while not stop.is_set():
            try:
                self._follow_once(projection, stop, on_error, Tally(notify), poll)
                failures = 0
            except TransientError as error:
                failures += 1
                pause = min(_LONGEST_PAUSE, poll * 2**failures)
                _log.warning("%s: %s; looking again in %.0f s", projection.name, error, pause)
                stop.wait(pause)

    def _follow_once(
        self, projection: Projection, stop: threading.Event, on_error: OnError, tally: Tally, poll: float
    ) -> None:
        """Follow until told to stop, or until the build is no longer the one to follow."""
        self.run(projection, on_error=on_error, notify=tally.notify)
        build = self.models.live(projection.name)
        if build is None or build.fingerprint != projection.fingerprint:
            stop.wait(poll)  # held at an older version
        else:
            self._on_each(build, lambda worker: _follow(worker, stop, poll), projection, on_error, tally)

    def as_of(
        self,
        projection: Projection,
        when: datetime | Cursor,
        *,
        clock: Clock = Clock.RECORDED,
        on_error: OnError = OnError.SKIP,
        notify: Notify = _silent,
    ) -> Build:
        """Build a read model aside, as it stood at a place or a moment; it replaces the one that was built so before.

        Args:
            projection: what to run.
            when: inclusive; a moment is aware.
            clock: for a moment, which of an event's times counts.
            on_error: what to do with an event that cannot be worked in.
            notify: told of the progress.

        Raises:
            ProjectionFailed: see `OnError.STOP`.
        """
        if isinstance(when, Cursor):
            words, until, keep = f"position {when}", min(when, self.store.head()), None
        else:
            words, until, keep = f"{clock} {aware(when).isoformat()}", self.store.head(), _by(when, clock)
        build = self.models.open(projection, BuildState.ASIDE, as_of=words)
        if self.models.count_dead(build):  # perhaps the handler was mended since
            self.models.drop(build)
            build = self.models.open(projection, BuildState.ASIDE, as_of=words)
        worker = Worker(
            self.store, self.models, projection, build, on_error=on_error, keep=keep, tally=Tally(notify)
        )
        worker.catch_up(until)
        return build

    def describe(self, projection: Projection) -> ProjectionReport:
        """Say how a projection stands, without working anything in.

        Raises:
            ConfigurationError: it was never built.
        """
        live = self.models.live(projection.name)
        if live is None:
            raise ConfigurationError(
                f"{projection.name} was never built: pipelines project {projection.name}"
            )
        return self._report(projection, live, Tally(), time.perf_counter())

    def _build(self, projection: Projection, on_error: OnError, tally: Tally) -> Build:
        partitions = self.partitions if projection.by_stream else 1
        build = self.models.open(projection, BuildState.BUILDING, partitions=partitions)
        while True:
            try:
                self._catch_up(projection, build, on_error, tally)
            except ProjectionFailed:
                # What mends the handler may change what it makes of the events before: no part of it is kept.
                self.models.drop(build)
                raise
            try:
                self.models.promote(build)
            except NotCaughtUp:  # the live one went on in the meantime
                tally.notify(tally)
                continue
            return self.models.live(projection.name) or build

    def _catch_up(self, projection: Projection, build: Build, on_error: OnError, tally: Tally) -> None:
        # A live build that follows may be further than the last event: up to where it has searched.
        live = self.models.live(projection.name)
        reached = (self.models.checkpoint(live, n).cursor for n in range(live.partitions)) if live else ()
        until = max(self.store.head(), *reached, START)
        self._on_each(build, lambda worker: worker.catch_up(until), projection, on_error, tally)

    def _on_each(
        self,
        build: Build,
        work: Callable[[Worker], None],
        projection: Projection,
        on_error: OnError,
        tally: Tally,
    ) -> None:
        workers = [
            Worker(self.store, self.models, projection, build, index, on_error, tally=tally)
            for index in range(build.partitions)
        ]
        if len(workers) == 1:
            work(workers[0])
            return
        with ThreadPoolExecutor(len(workers), thread_name_prefix=projection.name) as pool:
            for done in [pool.submit(work, worker) for worker in workers]:
                done.result()

    def _drop_begun(self, projection: Projection) -> None:
        for build in self.models.builds(projection.name):
            if build.state is BuildState.BUILDING:
                self.models.drop(build)

    def _held(self, projection: Projection) -> str:
        builds = self.models.builds(projection.name)
        if any(
            build.state is BuildState.WITHDRAWN and build.fingerprint == projection.fingerprint
            for build in builds
        ):
            return (
                f"{projection.name} stands still: someone went back from {projection.fingerprint}, which is what the code "
                f"says; mend it, or go forward with: pipelines project {projection.name} --rebuild"
            )
        return ""

    def _report(
        self, projection: Projection, build: Build, tally: Tally, started: float, notice: str = ""
    ) -> ProjectionReport:
        marks = [self.models.checkpoint(build, index) for index in range(build.partitions)]
        cursor = min(mark.cursor for mark in marks)
        lag = self.store.count(cursor, types=projection.taken, categories=projection.categories)
        return ProjectionReport(
            projection=projection.name,
            build=build.id,
            fingerprint=build.fingerprint,
            events=tally.events,
            events_total=sum(mark.events for mark in marks),
            dead_letters=self.models.count_dead(build),
            rows=self.models.count(build, projection.tables[0]),
            cursor=cursor,
            lag=lag,
            seconds=time.perf_counter() - started,
            notice=notice,
        )


def _by(when: datetime, clock: Clock) -> Callable[[StoredEvent], bool]:
    if clock is Clock.OCCURRED:
        return lambda event: event.occurred_at <= when
    return lambda event: event.recorded_at <= when


def _follow(worker: Worker, stop: threading.Event, poll: float) -> None:
    projection, build = worker.projection, worker.build
    cursor = worker.models.checkpoint(build, worker.partition).cursor
    news = worker.store.subscribe(
        cursor,
        stop=stop,
        types=projection.taken,
        categories=projection.categories,
        partition=worker.share,
        limit=projection.batch_size,
        poll=poll,
    )
    try:
        for batch in news:
            cursor = worker.work(cursor, batch)
    except CheckpointMoved:
        return  # another worker is here, or the build was replaced: the caller looks again
