"""All feeds of a log together: what lies there, and what was taken in from them."""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from pipelines_persistence.errors import SourceUnavailable
from pipelines_persistence.events.entry_feed import take_entries, with_news
from pipelines_persistence.events.entry_reports import EntriesReport
from pipelines_persistence.events.feeds import EntryStream, FeedPositions, InboxFile, Notify
from pipelines_persistence.events.inbox import InboxReport, pending, take_in
from pipelines_persistence.events.ports import EventStore
from pipelines_persistence.records import Json

_UNREACHABLE = "unreachable"
_log = logging.getLogger(__name__)


class InboxFolder(Protocol):
    """A folder that files are put into."""

    def files(self) -> Sequence[InboxFile]:
        """List the files.

        Raises:
            SourceUnavailable: it cannot be listed.
        """


class TakenIn(msgspec.Struct, frozen=True):
    """What was taken in.

    Attributes:
        unavailable: by feed, why it could not be read; nothing of it is lost, it is read when it is there again.
    """

    inbox: InboxReport
    entries: EntriesReport
    unavailable: Mapping[str, str]

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values: sums over all feeds, then what is wrong, by feed.

        `broken` are files and feeds that could not be read whole, and streams that dropped entries before they were read.
        """
        report, entries = self.inbox.as_json(), self.entries.as_json()
        for name in ("read", "appended", "duplicates", "refused"):
            report[name] = _sum(report[name], entries[name])
        malformed = [
            {"file": stream.name, "line": entry.id, "field": entry.field, "reason": entry.reason}
            for stream in self.entries.streams
            for entry in stream.recent[max(0, len(stream.recent) - stream.malformed) :]
        ]
        dropped = {
            stream.name: f"{stream.lost} entries were dropped there before they were read"
            for stream in self.entries.streams
            if stream.lost
        }
        return {
            **report,
            "rejected": [*_list(report["rejected"]), *malformed],
            "rejected_total": _sum(report["rejected_total"], entries["malformed"]),
            "malformed": _sum(report["malformed"], sum(s.malformed_total for s in self.entries.streams)),
            "lost": entries["lost"],
            "broken": {**self.inbox.broken, **dropped, **self.unavailable},
            "seconds": round(self.inbox.load.seconds + self.entries.seconds, 3),
        }


def take_in_all(
    store: EventStore,
    positions: FeedPositions,
    folders: Mapping[str, InboxFolder],
    streams: Sequence[EntryStream],
    notify: Notify,
) -> TakenIn:
    """Append what the log does not have yet of all feeds; one that is not there keeps no other from it.

    Args:
        store: the log.
        positions: where it is remembered how far each feed was read.
        folders: of JSONL files, by name.
        streams: of entries.
        notify: told of the progress.

    Raises:
        ConfigurationError: a server refuses us.
        RunCancelled: `notify` asked to stop.
    """
    unavailable: dict[str, str] = {}
    files: list[InboxFile] = []
    for name, folder in folders.items():
        try:
            files += folder.files()
        except SourceUnavailable as error:
            unavailable[name] = str(error)
    inbox = take_in(store, positions, files, notify=notify)
    reports = []
    for stream in streams:
        try:
            reports.append(take_entries(store, positions, [stream], notify=notify))
        except SourceUnavailable as error:
            unavailable[stream.name] = str(error)
    entries = EntriesReport(
        [each for report in reports for each in report.streams], sum(report.seconds for report in reports)
    )
    return TakenIn(inbox, entries, unavailable)


def signatures(
    positions: FeedPositions, folders: Mapping[str, InboxFolder], streams: Iterable[EntryStream]
) -> dict[str, str]:
    """Return a signature of what lies in each feed and was not read yet: "" for nothing.

    A feed that cannot be looked at has a signature, too: whoever goes to read it will say what is wrong.
    """
    found: dict[str, str] = {}
    for name, folder in folders.items():
        try:
            waiting = [f"{file.feed} {file.signature()}" for file in pending(positions, folder.files())]
            found[name] = hashlib.sha256("\n".join(waiting).encode()).hexdigest()[:16] if waiting else ""
        except SourceUnavailable as error:
            found[name] = _unreachable(name, error)
    for stream in streams:
        try:
            found[stream.name] = stream.page("0-0", 1).last if with_news(positions, [stream]) else ""
        except SourceUnavailable as error:
            found[stream.name] = _unreachable(stream.name, error)
    return found


def _unreachable(name: str, error: SourceUnavailable) -> str:
    _log.warning("%s: %s", name, error)
    return _UNREACHABLE


def _sum(first: Json, second: Json) -> int:
    assert isinstance(first, int)
    assert isinstance(second, int)
    return first + second


def _list(value: Json) -> list[Json]:
    assert isinstance(value, list)
    return value
