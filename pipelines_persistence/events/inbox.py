"""Folders of JSONL files as a feed: what is new or has changed is read, whole, and nothing is doubled by that."""

import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pipelines_persistence.errors import SourceUnavailable
from pipelines_persistence.events.appending import Imported
from pipelines_persistence.events.feeds import FeedPositions, InboxFile, Notify, silent
from pipelines_persistence.events.intake import Intake, LoadReport, plus
from pipelines_persistence.events.ports import EventStore
from pipelines_persistence.records import Json

FEED = "inbox:"
"""Begins the name of every file's feed."""


class _Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a file.

    Attributes:
        signature: of what was read.
        rejected: its malformed lines.
        waiting: the number of its last line, where that was not finished.
    """

    signature: str
    rejected: int = 0
    waiting: int | None = None


class InboxReport(msgspec.Struct, frozen=True):
    """What was found in an inbox.

    Attributes:
        load: what was done with the lines that were read.
        files: how many there are.
        changed: how many of them were read: they are new, or have changed.
        malformed: malformed lines in all files, those included that were read at an earlier time.
        waiting: by file, the number of a last line that is not finished: it is left for the next time.
        broken: by file, why it could not be read whole; it is read again the next time.
    """

    load: LoadReport
    files: int
    changed: int
    malformed: int
    waiting: Mapping[str, int]
    broken: Mapping[str, str]

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values."""
        return {
            **self.load.as_json(),
            "files": self.files,
            "changed": self.changed,
            "malformed": self.malformed,
            "waiting": dict(self.waiting),
            "broken": dict(self.broken),
        }


def pending(positions: FeedPositions, files: Iterable[InboxFile]) -> list[InboxFile]:
    """Return the files that are new or have changed; reads none of them.

    Args:
        positions: where the inbox remembers what it has read.
        files: of the inbox, as they are listed now.
    """
    known = positions.beginning(FEED)
    return [file for file in files if _signature(file) != _known(known, file).signature]


def take_in(
    store: EventStore, positions: FeedPositions, files: Sequence[InboxFile], *, notify: Notify = silent
) -> InboxReport:
    """Append what the log does not have yet of the files that are new or have changed.

    A file is remembered after its events were appended: whatever breaks off in between, it is read again, and the ids of
    its events tell what the log has already.

    Args:
        store: the log.
        positions: where the inbox remembers what it has read.
        files: of the inbox, in the order they are read.
        notify: told of the progress.

    Raises:
        RunCancelled: `notify` asked to stop.
    """
    return _Visit(store, positions, notify).report(files)


class _Visit:
    """One round through an inbox."""

    def __init__(self, store: EventStore, positions: FeedPositions, notify: Notify) -> None:
        self._store = store
        self._positions = positions
        self._intake = Intake(store.check, notify)
        self._imported = Imported()
        self._changed = 0
        self._found: dict[str, _Position] = {}
        self._broken: dict[str, str] = {}

    def report(self, files: Sequence[InboxFile]) -> InboxReport:
        started = time.perf_counter()
        known = self._positions.beginning(FEED)
        for file in files:
            self._visit(file, _known(known, file))
        waiting = {name: found.waiting for name, found in self._found.items() if found.waiting}
        return InboxReport(
            load=self._intake.report(self._imported, started),
            files=len(files),
            changed=self._changed,
            malformed=sum(found.rejected for found in self._found.values()),
            waiting=waiting,
            broken=self._broken,
        )

    def _visit(self, file: InboxFile, known: _Position) -> None:
        # Taken before the file is read: what is written meanwhile gives it another one.
        signature = _signature(file)
        if signature == known.signature:
            self._found[file.name] = known
            return
        self._changed += 1
        rejected = self._intake.rejected_total
        self._import(file)
        if self._intake.cancelled:
            raise self._intake.cancelled
        if self._intake.broken:
            self._broken[file.name] = str(self._intake.broken)
            return
        found = _Position(signature, self._intake.rejected_total - rejected, self._intake.waiting)
        self._positions.put(file.feed, msgspec.json.encode(found).decode())
        self._found[file.name] = found

    def _import(self, file: InboxFile) -> None:
        pairs = self._intake.pairs([file], growing=True)
        self._imported = plus(self._imported, self._store.import_events(pairs))


_UNKNOWN = _Position("")
_UNAVAILABLE = "?"


def _known(positions: Mapping[str, str], file: InboxFile) -> _Position:
    try:
        return msgspec.json.decode(positions[file.feed], type=_Position)
    except (KeyError, msgspec.DecodeError):
        return _UNKNOWN  # reading a file once more does no harm


def _signature(file: InboxFile) -> str:
    try:
        return file.signature()
    except SourceUnavailable:
        return _UNAVAILABLE  # reading it will say why
