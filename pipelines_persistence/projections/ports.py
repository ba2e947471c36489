"""What projections need of a database: builds of read models, checkpoints, and a transaction over both."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from pipelines_persistence.errors import ConfigurationError, TransientError
from pipelines_persistence.events import Cursor
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.rows import Unit
from pipelines_persistence.projections.tables import R, Table
from pipelines_persistence.repositories import Reader, Relation, Specification
from pipelines_persistence.repositories.ports import ALL


class BuildState(StrEnum):
    """What a build is for."""

    BUILDING = "building"
    """Catches up; readers do not see it."""
    LIVE = "live"
    """What readers see."""
    PREVIOUS = "previous"
    """Was live before, and is kept to go back to."""
    WITHDRAWN = "withdrawn"
    """Was live, and someone went back from it: no run may build the same again by itself."""
    ASIDE = "aside"
    """Shows how things stood at some moment; never live."""


ADVANCING = frozenset({BuildState.BUILDING, BuildState.LIVE, BuildState.ASIDE})


class Build(msgspec.Struct, frozen=True):
    """A physical copy of a read model: its tables and how far they are.

    Attributes:
        fingerprint: of the projection that it was built by.
        partitions: into how many shares of the streams the work is divided.
        as_of: where a build that stands aside ends, in words; "" for the others.
    """

    id: int
    projection: str
    fingerprint: str
    state: BuildState
    partitions: int
    as_of: str
    created_at: datetime


class Checkpoint(msgspec.Struct, frozen=True):
    """How far one partition of a build is.

    Attributes:
        cursor: of the last event that is in the tables, or up to where there is none for them.
        events: how many have been worked in.
        updated_at: when the last of them were; a move past events of others leaves it.
    """

    cursor: Cursor
    events: int
    updated_at: datetime


class Standing(msgspec.Struct, frozen=True):
    """What readers see at one moment.

    Attributes:
        build: the live one.
        marks: how far its partitions are, in their order.
    """

    build: Build
    marks: tuple[Checkpoint, ...]

    @property
    def identity(self) -> str:
        """A text that is another one whenever the rows may be others, also after a restore of the database.

        Ids and counts are the same again after a restore, so the moments belong to it: of the creation of the build, and of
        the last events that were worked in.
        """
        build = f"{self.build.projection} {self.build.id} {self.build.created_at.isoformat()}"
        return " ".join([build, *(f"{mark.events} {mark.updated_at.isoformat()}" for mark in self.marks)])


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that could not be worked in: it is still in the log, and a rebuild tries it again.

    Attributes:
        error: type and message of what the handler raised.
    """

    event_id: str
    stream: str
    version: int
    type: str
    cursor: Cursor
    error: str


class Step(msgspec.Struct, frozen=True):
    """One move of a checkpoint.

    Attributes:
        old: where it has to stand.
        new: where it will stand.
        events: how many are worked in on the way.
        dead: those that are passed over.
    """

    build: Build
    partition: int
    old: Cursor
    new: Cursor
    events: int = 0
    dead: Sequence[DeadLetter] = ()


class CheckpointMoved(TransientError):
    """Another worker was here first, or the build advances no more: look again."""


class NotCaughtUp(TransientError):
    """A build is not as far as the live one, or as its log: readers would go back in time."""


class ReadModels(Protocol):
    """Read models in a database.

    Every method may raise `DatabaseUnavailable` (the same call may succeed later, and is safe to repeat) and
    `StorageError` (something has to be changed first).
    """

    def open(
        self, projection: Projection, state: BuildState, *, partitions: int = 1, as_of: str = ""
    ) -> Build:
        """Return a build to fill: the one that was begun and broke off, or a new one with empty tables."""

    def builds(self, projection: str = "") -> list[Build]:
        """Return the builds of a projection, or of all, the oldest first."""

    def live(self, projection: str) -> Build | None:
        """Return the build that readers see."""

    def standing(self, projection: str) -> Standing | None:
        """Return what readers see, read in one step; None if the projection was never built."""

    def checkpoint(self, build: Build, partition: int = 0) -> Checkpoint:
        """Return how far a partition is.

        Raises:
            CheckpointMoved: the build is there no more.
        """

    def advance(self, step: Step, work: Callable[[Unit], None]) -> None:
        """Move a checkpoint and do the work that this means, both or neither.

        The checkpoint is compared and set first, so that of two workers one waits here and then finds it moved.

        Args:
            step: the move.
            work: changes the tables; called again when the database breaks off the transaction for another's sake.

        Raises:
            CheckpointMoved: it does not stand at `step.old`, or the build advances no more.
        """

    def promote(self, build: Build) -> None:
        """Show a build to readers in place of the live one, at once; that one is kept, those before it are dropped.

        Raises:
            NotCaughtUp: the live one is further.
        """

    def rollback(self, projection: str) -> Build:
        """Show the previous build again.

        Raises:
            ConfigurationError: there is none.
        """

    def drop(self, build: Build) -> None:
        """Remove a build that is not live, with its tables."""

    def dead_letters(self, build: Build, limit: int = 100) -> list[DeadLetter]:
        """Return events that were passed over, the last first."""

    def count_dead(self, build: Build) -> int:
        """Return how many events were passed over."""

    def repository(self, build: Build, table: Table[R]) -> Reader[R]:
        """Return the rows of a table, to read. Rows that a relation includes are those of live builds.

        Each question raises `StorageError` once the build was dropped.
        """

    def rows(
        self,
        build: Build,
        table: Table[R],
        specification: Specification[R] = ALL,
        limit: int | None = None,
    ) -> Iterator[R]:
        """Walk the first rows that are meant, in the table's order: for short, where nothing else is asked."""

    def count(self, build: Build, table: Table[Any]) -> int:
        """Return the number of rows of a table."""

    def close(self) -> None:
        """Let go of the database; safe to call twice."""


def live_reader(models: ReadModels, projection: Projection, table: Table[R]) -> Reader[R]:
    """Return the rows that readers see.

    Raises:
        ConfigurationError: the projection was never built.
    """
    return models.repository(live_build(models, projection.name), table)


def build_of(models: ReadModels, build: Build, relation: Relation[Any]) -> Build:
    """Return the build that the rows of a relation are in: the same one, or the live one of its source.

    Raises:
        ConfigurationError: its source was never built.
    """
    return live_build(models, relation.source) if relation.source else build


def live_build(models: ReadModels, name: str) -> Build:
    """Return the build that readers of a projection see.

    Raises:
        ConfigurationError: it was never built.
    """
    live = models.live(name)
    if live is None:
        raise never_built(name)
    return live


def never_built(name: str) -> ConfigurationError:
    """Return the error of a projection without a live build."""
    return ConfigurationError(f"{name} was never built: pipelines project {name}")
