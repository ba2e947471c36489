"""Streams of entries as feeds: each entry once, whatever dies and when; what was lost or malformed is told."""

import time
from collections.abc import Sequence

import msgspec

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events.appending import Imported
from pipelines_persistence.events.entries import EntryParser
from pipelines_persistence.events.entry_reports import (
    EntriesReport,
    MalformedEntry,
    OnMalformed,
    StreamReport,
)
from pipelines_persistence.events.faults import Fault
from pipelines_persistence.events.feeds import EntryPage, EntryStream, FeedPositions, Notify, Progress, silent
from pipelines_persistence.events.intake import checked, plus
from pipelines_persistence.events.jsonl import Pair
from pipelines_persistence.events.ports import EventStore

_PAGE = 1000  # entries
_RECENT = 20  # malformed entries that are remembered
_BEGINNING = "0-0"


class _Position(msgspec.Struct, frozen=True):
    """How far a stream has been taken in.

    Attributes:
        last: the id of the last entry that was read.
        counted: how many entries had been added up to there.
        lost: those of them that were gone before they could be read.
        malformed: those that were no events.
        recent: the last few of them.
    """

    last: str = _BEGINNING
    counted: int = 0
    lost: int = 0
    malformed: int = 0
    recent: tuple[MalformedEntry, ...] = ()


def take_entries(
    store: EventStore,
    positions: FeedPositions,
    streams: Sequence[EntryStream],
    *,
    on_malformed: OnMalformed = OnMalformed.SKIP,
    notify: Notify = silent,
) -> EntriesReport:
    """Append what the log does not have yet of some streams: what stands in each when its turn comes.

    A page is remembered after its events were appended: whatever breaks off in between, it is read again, and the ids of
    its events tell what the log has already.

    Args:
        store: the log.
        positions: where it is remembered how far each stream has been read.
        streams: one after the other.
        on_malformed: SKIP counts and remembers an entry that is no event, STOP goes no further than before it.
        notify: told of the progress after each page.

    Raises:
        SourceUnavailable: the system that keeps the streams does not answer; what was read is in.
        ConfigurationError: it refuses us.
        EventRefused: an entry is no event, and the policy is to stop.
        RunCancelled: `notify` asked to stop.
    """
    started = time.perf_counter()
    reports = [_Reader(store, positions, stream, on_malformed, notify).drain() for stream in streams]
    return EntriesReport(reports, time.perf_counter() - started)


def with_news(positions: FeedPositions, streams: Sequence[EntryStream]) -> list[EntryStream]:
    """Return the streams that have entries which were not read yet, or were made anew.

    Raises:
        SourceUnavailable: the system that keeps them does not answer.
        ConfigurationError: it refuses us.
    """
    return [stream for stream in streams if _has_news(stream, _decoded(positions.get(stream.feed)))]


class _Reader:
    """Reads one stream, once, to where it ended when that began."""

    def __init__(
        self,
        store: EventStore,
        positions: FeedPositions,
        stream: EntryStream,
        on_malformed: OnMalformed,
        notify: Notify,
    ) -> None:
        self._store = store
        self._positions = positions
        self._stream = stream
        self._on_malformed = on_malformed
        self._notify = notify
        self._parser = EntryParser(stream.name)
        self._position = self._began = self._kept = _decoded(positions.get(stream.feed))
        self._imported = Imported()
        self._read = 0
        self._restarted = False

    def drain(self) -> StreamReport:
        end = None
        while True:
            page = self._stream.page(self._position.last, _PAGE)
            if _is_another(page, self._position):
                self._restart()
                continue
            end = end or _key(page.last)
            self._take(page)
            if len(page.entries) < _PAGE or _key(self._position.last) >= end:
                return self._report()

    def _restart(self) -> None:
        """Begin anew, for the stream did; what the log has of it is not doubled."""
        self._restarted = True
        self._position = msgspec.structs.replace(self._position, last=_BEGINNING, counted=0)

    def _take(self, page: EntryPage) -> None:
        pairs: list[Pair] = []
        malformed: list[MalformedEntry] = []
        for number, entry in enumerate(page.entries):
            parsed = checked(self._store.check, self._parser.parse(entry))
            if not isinstance(parsed, Fault):
                pairs.append(parsed)
            elif self._on_malformed is OnMalformed.SKIP:
                malformed.append(MalformedEntry(entry.id, parsed.field, parsed.reason))
            else:
                self._keep(page._replace(entries=page.entries[:number]), pairs, malformed, is_end=False)
                raise EventRefused(_stopped(self._stream.name, entry.id, parsed))
        self._keep(page, pairs, malformed, is_end=len(page.entries) < _PAGE)
        self._notify(
            Progress(self._stream.name, self._read, self._position.malformed - self._began.malformed)
        )

    def _keep(
        self, page: EntryPage, pairs: list[Pair], malformed: list[MalformedEntry], *, is_end: bool
    ) -> None:
        """Append events, and then remember that their entries were read."""
        if pairs:
            self._imported = plus(self._imported, self._store.import_events(pairs))
        self._read += len(page.entries)
        self._position = _advanced(self._position, page, malformed, is_end=is_end)
        if self._position != self._kept:
            self._positions.put(self._stream.feed, msgspec.json.encode(self._position).decode())
            self._kept = self._position

    def _report(self) -> StreamReport:
        position, began = self._position, self._began
        return StreamReport(
            name=self._stream.name,
            read=self._read,
            appended=self._imported.appended,
            duplicates=self._imported.duplicates,
            refused=self._imported.refused,
            malformed=position.malformed - began.malformed,
            lost=position.lost - began.lost,
            restarted=self._restarted,
            position=position.last,
            lost_total=position.lost,
            malformed_total=position.malformed,
            recent=list(position.recent),
        )


def _advanced(
    position: _Position, page: EntryPage, malformed: Sequence[MalformedEntry], *, is_end: bool
) -> _Position:
    counted = position.counted + len(page.entries)
    lost = 0
    if is_end and page.added is not None:
        # All that were ever added were read by now, or are gone.
        lost, counted = max(0, page.added - counted), page.added
    return _Position(
        last=page.entries[-1].id if page.entries else position.last,
        counted=counted,
        lost=position.lost + lost,
        malformed=position.malformed + len(malformed),
        recent=(*position.recent, *malformed)[-_RECENT:],
    )


def _is_another(page: EntryPage, position: _Position) -> bool:
    """Tell whether the stream was made anew since its position was kept: it has gone back."""
    fewer = page.added is not None and page.added < position.counted
    return fewer or _key(page.last) < _key(position.last)


def _has_news(stream: EntryStream, position: _Position) -> bool:
    page = stream.page(position.last, 1)
    return bool(page.entries) or _is_another(page, position)


def _key(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def _decoded(position: str | None) -> _Position:
    try:
        return msgspec.json.decode(position or "", type=_Position)
    except msgspec.DecodeError:
        return _Position()  # reading a stream once more does no harm


def _stopped(name: str, entry_id: str, fault: Fault) -> str:
    field = f"{fault.field}: " if fault.field else ""
    return (
        f"the entry {entry_id} of {name} is no event: {field}{fault.reason}; what came before it is in. "
        "Delete it there once its sender is mended, or choose to skip such entries"
    )
