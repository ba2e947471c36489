"""What is told of streams of entries that were taken in."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from pipelines_persistence.records import Json


class OnMalformed(StrEnum):
    """What to do with an entry that is no event."""

    SKIP = "skip"
    STOP = "stop"


class MalformedEntry(msgspec.Struct, frozen=True):
    """An entry that is no event; it stays where it is.

    Attributes:
        id: the entry's.
        field: the field that is wrong; None where it is the entry as a whole.
        reason: what is wrong, and what would be right.
    """

    id: str
    field: str | None
    reason: str


class StreamReport(msgspec.Struct, frozen=True):
    """What was done with one stream, and what is known of it altogether.

    Attributes:
        read: entries, this time; the sum of appended, duplicates, refused and malformed.
        duplicates: events that the log had already.
        refused: events of streams that are closed.
        lost: entries that were trimmed or deleted before they were read, this time.
        restarted: whether the stream was made anew since the last time, and so was read from its beginning.
        position: the id of the last entry that was read.
        lost_total: since the stream was first read.
        malformed_total: since the stream was first read.
        recent: the last malformed entries.
    """

    name: str
    read: int
    appended: int
    duplicates: int
    refused: int
    malformed: int
    lost: int
    restarted: bool
    position: str
    lost_total: int
    malformed_total: int
    recent: Sequence[MalformedEntry]


class EntriesReport(msgspec.Struct, frozen=True):
    """What was done with some streams."""

    streams: Sequence[StreamReport]
    seconds: float

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values; the sums over all streams stand first."""
        counts = ("read", "appended", "duplicates", "refused", "malformed", "lost")
        totals = {name: sum(getattr(stream, name) for stream in self.streams) for name in counts}
        streams = [msgspec.to_builtins(stream) for stream in self.streams]
        return {**totals, "streams": streams, "seconds": round(self.seconds, 3)}
