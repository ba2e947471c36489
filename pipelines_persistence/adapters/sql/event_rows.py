"""Events as rows, and the statements that are the same on every database."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeAlias

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_schema import to_micros
from pipelines_persistence.events import (
    Clock,
    Cursor,
    FenceLag,
    NewEvent,
    Partition,
    StoredEvent,
    category_of,
)
from pipelines_persistence.events.appending import Standing

Row: TypeAlias = tuple[Any, ...]

COLUMNS = (
    "stream, category, version, id, type, data, schema_version, occurred_at, recorded_at, "
    "correlation_id, causation_id, actor"
)
"""The columns of a `Row` that is written, in its order."""

FARTHEST = 2**63 - 1
"""Greater than every position and transaction id."""


class Head(NamedTuple):
    """The last event of a stream.

    Attributes:
        recorded_at: in microseconds since 1970.
    """

    version: int = 0
    type: str = ""
    recorded_at: int = 0


NO_HEAD = Head()


class Opening(NamedTuple):
    """What a transaction that writes to the log begins with.

    Attributes:
        epoch, transaction: the first two parts of its events' cursors.
        positions: the third parts, rising; empty where the database gives them as it writes.
        now: the time by the clock that all writers share, in microseconds since 1970.
        heads: the last events of its streams, by stream, where there are any.
    """

    epoch: int
    transaction: int
    positions: Sequence[int]
    now: int
    heads: dict[str, Head]


class Filter(NamedTuple):
    """Which part of the log is asked for."""

    after: Cursor
    until: Cursor
    types: Collection[str]
    categories: Collection[str]
    limit: int
    backwards: bool = False
    partition: Partition | None = None


class Part(NamedTuple):
    """Which part of a stream is asked for; see `EventStore.read`."""

    stream: str
    first: int
    last: int
    as_of: datetime | Cursor | None
    clock: Clock
    backwards: bool
    limit: int


class Waiter(Protocol):
    """Waits at the end of the log for whichever comes first: news, the time, or the order to stop."""

    def wait(self, seconds: float) -> bool:
        """Return whether there is news."""

    def close(self) -> None:
        """Let go of the connection."""


class Backend(Protocol):
    """What differs between databases. Each method is one statement in the caller's transaction."""

    def heads(self, connection: sa.Connection, streams: Sequence[str]) -> dict[str, Head]:
        """Return the last event of each stream that exists. Must not give the transaction an id: see `open`."""

    def standing(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, Standing]:
        """Return where those of the ids stand that the log has."""

    def open(self, connection: sa.Connection, streams: Sequence[str], count: int) -> Opening:
        """Begin to write up to `count` events to streams.

        The transaction gets its id here, and no sooner than it sees the heads: so the ids of a stream's writers rise
        with its versions, and the log shows them in that order.
        """

    def insert(self, connection: sa.Connection, opening: Opening, rows: Iterable[Row]) -> Cursor:
        """Write rows, and return the cursor of the last."""

    def has_grown(self, events: int) -> None:
        """Hear that the log has grown by so many events at once; must never fail."""

    def stream_page(self, connection: sa.Connection, part: Part) -> list[StoredEvent]:
        """Return events of a stream."""

    def page(self, connection: sa.Connection, wanted: Filter) -> tuple[list[StoredEvent], Cursor]:
        """Return events of the log, and how far it was searched."""

    def count(self, connection: sa.Connection, wanted: Filter) -> int:
        """Return how many rows `page` would."""

    def fence_lag(self, connection: sa.Connection) -> FenceLag:
        """Return how much is held back."""

    def announce(self) -> None:
        """Tell those who wait, after a commit; must never fail."""

    def waiter(self) -> Waiter | None:
        """Return what waits for announcements, where there are any."""


def new_row(stream: str, version: int, event: NewEvent, recorded_at: int) -> Row:
    """Return an event as a row to write.

    Args:
        stream: the stream's id.
        version: the event's place in it.
        event: what is written there.
        recorded_at: in microseconds since 1970.
    """
    return (
        stream,
        category_of(stream),
        version,
        event.id,
        event.type,
        event.data,
        event.schema_version,
        to_micros(event.occurred_at),
        recorded_at,
        event.correlation_id,
        event.causation_id,
        event.actor,
    )
