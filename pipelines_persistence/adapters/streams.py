"""The event log within a unit of work: what of `EventStore` makes sense before the commit."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events import (
    Append,
    Appended,
    Clock,
    Cursor,
    Expected,
    NewEvent,
    StoredEvent,
)


class Streams(Protocol):
    """The streams of the log, as one transaction sees them. See `EventStore` for each method."""

    def append(self, stream: str, events: Sequence[NewEvent], expected: int | Expected) -> Appended:
        """See `EventStore`; nobody else sees the events before the unit is committed."""

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See `EventStore` and `append`."""

    def check(self, event: NewEvent) -> None:
        """See `EventStore`."""

    def read(
        self,
        stream: str,
        from_version: int = 1,
        to_version: int | None = None,
        *,
        as_of: datetime | Cursor | None = None,
        clock: Clock = Clock.RECORDED,
        backwards: bool = False,
    ) -> Iterator[StoredEvent]:
        """See `EventStore`; with what this unit has appended."""

    def version(self, stream: str) -> int:
        """See `EventStore`; with what this unit has appended."""


class Repeats:
    """Tells a unit of work that was committed before, without its caller hearing of it, from a new one."""

    def __init__(self) -> None:
        """Begin with no append."""
        self._ids: set[str] = set()
        self._stood: list[bool] = []

    def begin(self, appends: Iterable[Append]) -> list[str]:
        """Return the event ids of an append.

        Raises:
            EventRefused: this unit has appended one of them already.
        """
        ids = [event.id for append in appends for event in append.events]
        if twice := self._ids.intersection(ids):
            raise EventRefused(f"the event id {min(twice)} is given twice in one unit of work")
        self._ids.update(ids)
        return ids

    def note(self, *, stood: bool) -> None:
        """Note whether the events of an append stood in the log before."""
        self._stood.append(stood)

    @property
    def appended(self) -> int:
        """How many events the unit has appended."""
        return len(self._ids)

    def is_repeated(self) -> bool:
        """Tell whether the unit was committed before: then nothing of it may be written again.

        Raises:
            EventRefused: some of its events stand, and some do not, so that it is another unit.
        """
        if any(self._stood) and not all(self._stood):
            raise EventRefused(
                "some events of this unit of work stand in the log already, and some do not: give new events new ids"
            )
        return any(self._stood)
