"""Loads files of JSONL into the log: each event once, however often its file is loaded, and malformed lines by name."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from pipelines_persistence.errors import EventRefused, RunCancelled, SourceUnavailable
from pipelines_persistence.events.appending import Imported
from pipelines_persistence.events.faults import Fault
from pipelines_persistence.events.feeds import EventFile, Notify, Progress, silent
from pipelines_persistence.events.jsonl import LineParser, Pair
from pipelines_persistence.events.ports import EventStore
from pipelines_persistence.events.records import NewEvent
from pipelines_persistence.records import Json

_DETAILED = 1000  # malformed lines that a report lists
_NOTIFY_EVERY = 1000  # lines
_BLANK = b" \t\r\n\xef\xbb\xbf"


class Rejected(msgspec.Struct, frozen=True):
    """A line that is no event.

    Attributes:
        line: its number, from 1.
        field: the field that is wrong; None where it is the line as a whole.
        reason: what is wrong, and what would be right.
    """

    file: str
    line: int
    field: str | None
    reason: str

    def __str__(self) -> str:
        """Return it as compilers write it."""
        field = f" {self.field}:" if self.field else ""
        return f"{self.file}:{self.line}:{field} {self.reason}"


class LoadReport(msgspec.Struct, frozen=True):
    """What a load did.

    Attributes:
        read: lines that are not blank; the sum of appended, duplicates, refused and rejected_total.
        duplicates: events that the log had already, or that came twice.
        refused: events of streams that are closed.
        rejected: the first malformed lines.
        rejected_total: how many malformed lines there were.
        streams: how many streams the well-formed lines speak of.
    """

    read: int
    appended: int
    duplicates: int
    refused: int
    rejected: Sequence[Rejected]
    rejected_total: int
    streams: int
    seconds: float

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values."""
        return {
            "read": self.read,
            "appended": self.appended,
            "duplicates": self.duplicates,
            "refused": self.refused,
            "rejected": [msgspec.to_builtins(line) for line in self.rejected],
            "rejected_total": self.rejected_total,
            "streams": self.streams,
            "seconds": round(self.seconds, 3),
        }


def load(
    store: EventStore, files: Sequence[EventFile], *, strict: bool = False, notify: Notify = silent
) -> LoadReport:
    """Append what the log does not have yet of some files, in their order.

    Args:
        store: the log.
        files: read once, or twice where `strict`.
        strict: append nothing at all if any line of any file is malformed.
        notify: told of the progress.

    Raises:
        SourceUnavailable: a file cannot be read, or only in part; what came before that is in, unless `strict`.
        RunCancelled: `notify` asked to stop.
    """
    started = time.perf_counter()
    if strict:
        trial = Intake(store.check, notify)
        deque(trial.pairs(files), maxlen=0)
        trial.raise_what_ended_it("nothing was appended")
        if trial.rejected_total:
            return trial.report(Imported(), started)
    intake = Intake(store.check, notify)
    imported = store.import_events(intake.pairs(files))
    intake.raise_what_ended_it(_what_stands(imported, intake.rejected_total))
    return intake.report(imported, started)


class Intake:
    """Reads files, and counts.

    Attributes:
        read: lines that are not blank.
        rejected_total: the malformed ones among them.
        waiting: the number of the last file's last line, where that is not finished yet.
        broken: what ended the reading of a file, and of all that followed it.
        cancelled: the order to stop, where that ended it.
    """

    def __init__(self, check: Callable[[NewEvent], None], notify: Notify = silent) -> None:
        """Begin; `check` raises `EventRefused` for an event that the log would not take."""
        self._check = check
        self.read = 0
        self.rejected_total = 0
        self.waiting: int | None = None
        self.broken: SourceUnavailable | None = None
        self.cancelled: RunCancelled | None = None
        self._rejected: list[Rejected] = []
        self._streams: set[str] = set()
        self._notify = notify

    def pairs(self, files: Iterable[EventFile], *, growing: bool = False) -> Iterator[Pair]:
        """Walk the events of some files, up to the first that cannot be read whole, or to the order to stop.

        The walk then ends without an error, so that what was read before is appended; see `broken` and `cancelled`.

        Args:
            files: in the order they are read.
            growing: leave a last line that has no end and is malformed for the next time.
        """
        self.broken = None
        try:
            for file in files:
                yield from self._of(file, growing=growing)
        except SourceUnavailable as error:
            self.broken = error
        except RunCancelled as error:
            self.cancelled = error

    def raise_what_ended_it(self, what_stands: str) -> None:
        """Do nothing where all files were read whole.

        Args:
            what_stands: said of a file that cannot be read.

        Raises:
            SourceUnavailable: a file cannot be read, or only in part.
            RunCancelled: `notify` asked to stop.
        """
        if self.cancelled:
            raise self.cancelled
        if self.broken:
            raise SourceUnavailable(f"{self.broken}; {what_stands}") from self.broken

    def _of(self, file: EventFile, *, growing: bool) -> Iterator[Pair]:
        parse = LineParser().parse
        self.waiting = None
        for number, raw in enumerate(file.lines(), start=1):
            if not raw.strip(_BLANK):
                continue
            parsed = checked(self._check, parse(raw))
            if growing and isinstance(parsed, Fault) and not raw.endswith(b"\n"):
                self.waiting = number
                return
            self.read += 1
            if self.read % _NOTIFY_EVERY == 0:
                self._notify(Progress(file.name, self.read, self.rejected_total))
            if isinstance(parsed, Fault):
                self._reject(Rejected(file.name, number, parsed.field, parsed.reason))
            else:
                self._streams.add(parsed[0])
                yield parsed

    def _reject(self, line: Rejected) -> None:
        self.rejected_total += 1
        if len(self._rejected) < _DETAILED:
            self._rejected.append(line)

    def report(self, imported: Imported, started: float) -> LoadReport:
        """Return what was done with what was read."""
        return LoadReport(
            read=self.read,
            appended=imported.appended,
            duplicates=imported.duplicates,
            refused=imported.refused,
            rejected=self._rejected,
            rejected_total=self.rejected_total,
            streams=len(self._streams),
            seconds=time.perf_counter() - started,
        )


def plus(one: Imported, other: Imported) -> Imported:
    """Return the sum of two imports; `streams` is left out, for both may be about the same ones."""
    return Imported(
        read=one.read + other.read,
        appended=one.appended + other.appended,
        duplicates=one.duplicates + other.duplicates,
        refused=one.refused + other.refused,
    )


def _what_stands(imported: Imported, rejected: int) -> str:
    malformed = f" ({rejected:,} lines were malformed)" if rejected else ""
    return (
        f"the {imported.appended:,} new events before that are in{malformed}, what follows it was not read: "
        "load it again when it is whole, no event is doubled"
    )


def checked(check: Callable[[NewEvent], None], parsed: Pair | Fault) -> Pair | Fault:
    """Return what was parsed, or what is wrong with it where the log would not take it."""
    if not isinstance(parsed, Fault):
        try:
            check(parsed[1])
        except EventRefused as error:
            return Fault("data", str(error))
    return parsed
