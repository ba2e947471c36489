"""Bulk import: what is new is numbered here and written by the fastest way that the database has.

Numbering on this side and one COPY into the log proved simpler than a temporary table and a second write in the server,
and a duplicate that another process writes in the meantime costs only a second attempt.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_rows import NO_HEAD, Backend, Row, new_row
from pipelines_persistence.adapters.sql.event_transactions import Taken, UnitOfWork
from pipelines_persistence.errors import DatabaseUnavailable
from pipelines_persistence.events import Imported, NewEvent
from pipelines_persistence.events.appending import admit_stream, admit_type
from pipelines_persistence.events.records import CLOSING

_BATCH = 10_000
_RACES = 64

Pair = tuple[str, NewEvent]


class Importer:
    """One import: keeps the count."""

    def __init__(self, work: UnitOfWork, backend: Backend) -> None:
        """Take what writes, and the database's dialect."""
        self._work = work
        self._backend = backend
        self._streams: set[str] = set()
        # Most imports bring only what is new: ids are looked up from the first duplicate on, and not before.
        self._looks_up = False

    def run(self, pairs: Iterable[Pair]) -> Imported:
        """Import everything; see `EventStore.import_events`."""
        read = appended = refused = 0
        for batch in _batched(pairs):
            fresh, closed = self._write(batch)
            read, appended, refused = read + len(batch), appended + fresh, refused + closed
            self._backend.announce()
        duplicates = read - appended - refused
        return Imported(read, appended, duplicates, refused, len(self._streams))

    def _write(self, batch: Sequence[Pair]) -> tuple[int, int]:
        """Return how many events were new, and how many belong to closed streams."""
        for stream, event in batch:
            admit_stream(stream)
            admit_type(event)
        for attempt in range(_RACES):
            try:
                return self._work.write(lambda connection: self._attempt(connection, batch))
            except Taken:
                self._looks_up = True
                self._work.pause(attempt)
        raise DatabaseUnavailable(
            f"{_RACES} other writers were faster: try again later, it is safe to repeat"
        )

    def _attempt(self, connection: sa.Connection, batch: Sequence[Pair]) -> tuple[int, int]:
        given: dict[str, Pair] = {}
        for pair in batch:
            given.setdefault(pair[1].id, pair)
        heads = self._backend.heads(connection, sorted({stream for stream, _ in given.values()}))
        if self._looks_up or any(head.type in CLOSING for head in heads.values()):
            for known in self._backend.standing(connection, list(given)):
                del given[known]
        rows: list[Row] = []
        versions: dict[str, int] = {}
        for stream, event in given.values():
            head = heads.get(stream, NO_HEAD)
            if head.type not in CLOSING:
                versions[stream] = versions.get(stream, head.version) + 1
                rows.append(new_row(stream, versions[stream], event, head.recorded_at))
        if rows:
            self._backend.insert_bulk(connection, rows)
        self._streams.update(versions)
        return len(rows), len(given) - len(rows)


def _batched(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    iterator = iter(pairs)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
