"""Aggregates: a state that follows from the events of one stream, and the events it has not saved yet."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar, Generic, Self, TypeVar

import msgspec

from pipelines_persistence.errors import CommandRefused, ConfigurationError
from pipelines_persistence.events.records import new_id
from pipelines_persistence.events.registry import UnknownEvent

S = TypeVar("S", bound=msgspec.Struct)


class Uncommitted(msgspec.Struct, frozen=True):
    """An event that was recorded and not saved yet.

    Attributes:
        id: under which it is appended, however often that is tried.
    """

    event: msgspec.Struct
    id: str
    occurred_at: datetime


class Mark(msgspec.Struct, frozen=True):
    """How far the snapshots of a stream reach.

    Attributes:
        version: of the newest; 0 where there is none.
        since: when that was taken; without one, when the first event was recorded; None if unknown.
    """

    version: int = 0
    since: datetime | None = None


class Aggregate(ABC, Generic[S]):
    """Decides what may happen in one stream, `<category>-<id>`.

    A subclass gives the state and how it follows from the events; its methods hold the rules and `record` what happens.

    Attributes:
        category: of its streams; holds no '-'.
        state_version: of the state. Whoever changes the state or `evolve` raises it: older snapshots are then ignored.
        mark: what the repository knows of the snapshots.
    """

    category: ClassVar[str]
    state_version: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        """Refuse a category that could not be told from an id."""
        super().__init_subclass__()
        if not cls.category or "-" in cls.category:
            raise ConfigurationError(
                f"the category {cls.category!r} of {cls.__name__} is empty, or holds '-'"
            )

    def __init__(self, id: str, state: S | None = None, version: int = 0) -> None:  # noqa: A002 - the property's name
        """Begin before the first event, or with a state at a version."""
        self._id = id
        self._state = self.initial() if state is None else state
        self._version = version
        self._uncommitted: list[Uncommitted] = []
        self._sealed = ""
        self.mark = Mark()

    @staticmethod
    @abstractmethod
    def initial() -> S:
        """Return the state before the first event."""

    @staticmethod
    @abstractmethod
    def evolve(state: S, event: msgspec.Struct) -> S:
        """Return the state after an event: a pure function of the two. It refuses nothing, for it has happened."""

    @property
    def id(self) -> str:
        """What identifies it within its category."""
        return self._id

    @property
    def stream(self) -> str:
        """The id of its stream."""
        return self.stream_of(self._id)

    @property
    def state(self) -> S:
        """What follows from all events, uncommitted ones included."""
        return self._state

    @property
    def version(self) -> int:
        """The version of the last event, uncommitted ones included; 0 before the first."""
        return self._version

    @property
    def committed_version(self) -> int:
        """The version of the last event that is in the stream."""
        return self._version - len(self._uncommitted)

    @property
    def uncommitted(self) -> tuple[Uncommitted, ...]:
        """What was recorded and not saved yet, in order."""
        return tuple(self._uncommitted)

    @classmethod
    def stream_of(cls, id: str) -> str:  # noqa: A002 - as above
        """Return the id of the stream of an aggregate."""
        return f"{cls.category}-{id}"

    def record(self, event: msgspec.Struct, *, occurred_at: datetime | None = None) -> None:
        """Let an event happen: the state follows, and the next save appends it.

        Args:
            event: of a registered type.
            occurred_at: aware; now by default.

        Raises:
            CommandRefused: the aggregate shows a past that is no prefix of its stream, and can only be read.
        """
        if self._sealed:
            raise CommandRefused(self._sealed)
        self._state = self.evolve(self._state, event)
        self._version += 1
        self._uncommitted.append(Uncommitted(event, new_id(), occurred_at or datetime.now(UTC)))

    def replay(self, history: Iterable[tuple[int, msgspec.Struct]]) -> Self:
        """Follow events that are in the stream, with their versions; what is of an unknown type only counts."""
        for version, event in history:
            if not isinstance(event, UnknownEvent):
                self._state = self.evolve(self._state, event)
            self._version = version
        return self

    def commit(self) -> None:
        """Take note that what was recorded is in the stream."""
        self._uncommitted.clear()

    def seal(self, reason: str) -> None:
        """Let nothing be recorded any more, for a reason that says what to do."""
        self._sealed = reason
