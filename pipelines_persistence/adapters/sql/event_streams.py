"""The event log on the connection of a unit of work."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_appending import write_events
from pipelines_persistence.adapters.sql.event_pages import stream_pages
from pipelines_persistence.adapters.sql.event_rows import NO_HEAD, Backend, Part
from pipelines_persistence.adapters.streams import Repeats
from pipelines_persistence.events import Append, Appended, Clock, Cursor, Expected, NewEvent, StoredEvent
from pipelines_persistence.events.appending import admit, admit_type, settle


class SqlStreams:
    """See `Streams`.

    On PostgreSQL the log is in the order of transaction ids, and a stream's events have to be, too. A unit may get its id
    before it appends, when it writes a row. Its transaction must keep one snapshot then, taken before the id was given
    out: all that it sees was committed by transactions with lesser ids, and what it does not see it cannot follow, for
    the version is taken.
    """

    def __init__(self, backend: Backend, connection: Callable[[], sa.Connection]) -> None:
        """Take the database's dialect, and what returns the connection while its transaction is open."""
        self._backend = backend
        self._connection = connection
        self.repeats = Repeats()

    def append(self, stream: str, events: Sequence[NewEvent], expected: int | Expected) -> Appended:
        """See `Streams`."""
        return self.append_many([Append(stream, events, expected)])[0]

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Streams`."""
        admit(appends)
        # Asked before they are written: a violation would end the transaction.
        connection = self._connection()
        standing = self._backend.standing(connection, self.repeats.begin(appends))
        first = settle(appends, standing)
        result = first or write_events(self._backend, connection, appends)
        self.repeats.note(stood=first is not None)
        return result

    def check(self, event: NewEvent) -> None:
        """See `Streams`."""
        admit_type(event)

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
        """See `Streams`."""
        self._connection()  # refused at the call, and not with the first event

        def page(part: Part) -> list[StoredEvent]:
            return self._backend.stream_page(self._connection(), part)

        return stream_pages(page, stream, (from_version, to_version), as_of, clock, backwards=backwards)

    def version(self, stream: str) -> int:
        """See `Streams`."""
        return self._backend.heads(self._connection(), [stream]).get(stream, NO_HEAD).version
