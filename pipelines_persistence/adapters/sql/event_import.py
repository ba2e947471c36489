"""Bulk import: what is new is numbered here and written by the fastest way that the database has.

Numbering on this side and one COPY into the log proved simpler than a temporary table and a second write in the server,
and a duplicate that another process writes in the meantime costs only a second attempt.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_rows import NO_HEAD, Backend, Head, Row, new_row
from pipelines_persistence.adapters.sql.event_transactions import Taken, UnitOfWork
from pipelines_persistence.errors import DatabaseUnavailable
from pipelines_persistence.events import Imported, NewEvent
from pipelines_persistence.events.appending import admit_stream, admit_type
from pipelines_persistence.events.records import CLOSING

# A transaction's fixed cost spreads over its events; its memory, and how long others wait for it, grow with both bounds.
_MOST_EVENTS = 50_000
_MOST_BYTES = 2**24  # of data
_FEW = 1_000  # events that are not halved again after a lost race
_MOST_HEADS = 200_000  # streams whose heads are remembered, about 300 bytes each
_RACES = 64

Pair = tuple[str, NewEvent]


class _Written(NamedTuple):
    """What one transaction did, and where it left the streams that took an event."""

    appended: int
    refused: int
    heads: Mapping[str, Head]


class Importer:
    """One import: keeps the count."""

    def __init__(self, work: UnitOfWork, backend: Backend) -> None:
        """Take what writes, and the database's dialect."""
        self._work = work
        self._backend = backend
        self._streams: set[str] = set()
        # Where this import left each stream. A writer who came between takes the version that follows, and so is noticed.
        self._heads: dict[str, Head] = {}
        self._epoch = 0
        # Most imports bring only what is new: ids are looked up from the first duplicate on, and not before.
        self._looks_up = False

    def run(self, pairs: Iterable[Pair]) -> Imported:
        """Import everything; see `EventStore.import_events`."""
        read = appended = refused = 0
        for batch in _batched(pairs):
            _admit(batch)
            fresh, closed = self._write(batch)
            if not read:
                self._backend.has_grown(fresh)
            read, appended, refused = read + len(batch), appended + fresh, refused + closed
            self._backend.announce()
        duplicates = read - appended - refused
        return Imported(read, appended, duplicates, refused, len(self._streams))

    def _write(self, batch: Sequence[Pair]) -> tuple[int, int]:
        """Return how many events were new, and how many belong to closed streams."""
        for attempt in range(_RACES):
            try:
                written = self._work.write(lambda connection: self._attempt(connection, batch))
            except Taken:
                self._heads.clear()
                self._looks_up = True
                self._work.pause(attempt)
                if attempt and len(batch) > _FEW:  # the shorter a transaction, the better its chances
                    first, second = (self._write(half) for half in _halves(batch))
                    return first[0] + second[0], first[1] + second[1]
            else:
                self._remember(written.heads)
                return written.appended, written.refused
        raise DatabaseUnavailable(
            f"{_RACES} other writers were faster: try again later, it is safe to repeat"
        )

    def _attempt(self, connection: sa.Connection, batch: Sequence[Pair]) -> _Written:
        given: dict[str, Pair] = {}
        for pair in batch:
            given.setdefault(pair[1].id, pair)
        streams = {stream for stream, _ in batch}
        opening = self._backend.open(connection, sorted(streams - self._heads.keys()), len(given))
        if opening.epoch != self._epoch:
            self._epoch = opening.epoch
            if self._heads:
                raise Taken  # a fail-over may have lost what was remembered: begin again without it
        heads = {stream: self._heads.get(stream) or opening.heads.get(stream, NO_HEAD) for stream in streams}
        if self._looks_up or any(head.type in CLOSING for head in heads.values()):
            for known in self._backend.standing(connection, list(given)):
                del given[known]
        ends = {
            stream: [head.version, max(head.recorded_at, opening.now)]
            for stream, head in heads.items()
            if head.type not in CLOSING
        }
        self._backend.insert(connection, opening, _rows(given.values(), ends))
        left = {
            stream: Head(version, recorded_at=recorded_at)
            for stream, (version, recorded_at) in ends.items()
            if version > heads[stream].version
        }
        appended = sum(left[stream].version - heads[stream].version for stream in left)
        return _Written(appended, len(given) - appended, left)

    def _remember(self, heads: Mapping[str, Head]) -> None:
        if len(self._heads) > _MOST_HEADS:
            self._heads.clear()
        self._heads.update(heads)
        self._streams.update(heads)


def _rows(pairs: Iterable[Pair], ends: Mapping[str, list[int]]) -> Iterator[Row]:
    """Make rows one by one, while the server writes those before; `ends` moves with them: version and time."""
    for stream, event in pairs:
        if end := ends.get(stream):
            end[0] += 1
            yield new_row(stream, end[0], event, end[1])


def _admit(batch: Sequence[Pair]) -> None:
    for stream in {stream for stream, _ in batch}:
        admit_stream(stream)
    for event in {event.type: event for _, event in batch}.values():
        admit_type(event)


def _batched(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    batch: list[Pair] = []
    size = 0
    for pair in pairs:
        batch.append(pair)
        size += len(pair[1].data)
        if len(batch) == _MOST_EVENTS or size >= _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _halves(batch: Sequence[Pair]) -> tuple[Sequence[Pair], Sequence[Pair]]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]
