"""The rules of appending, the same for every store: what is expected, what stands, what follows."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from pipelines_persistence.errors import ConcurrencyConflict, EventRefused, StreamClosed
from pipelines_persistence.events.records import CLOSING, Cursor, NewEvent, refuse_text

MOST = 2**31 - 1
"""No stream has a version greater than this."""


class Expected(StrEnum):
    """What a caller knows of a stream, where it is not an exact version."""

    NO_STREAM = "no_stream"
    STREAM_EXISTS = "stream_exists"
    ANY = "any"


class Append(msgspec.Struct, frozen=True):
    """Events for one stream, as part of an atomic append.

    Attributes:
        expected: the stream's version as the caller knows it (0: no such stream), or an `Expected`.
    """

    stream: str
    events: Sequence[NewEvent]
    expected: int | Expected


class Appended(msgspec.Struct, frozen=True):
    """Where the events of an append stand.

    Attributes:
        version: of the last one, and so of the stream when they had been appended.
        cursor: of the last event of the whole call: a projection that has reached it has seen them all.
    """

    stream: str
    version: int
    cursor: Cursor


class Imported(msgspec.Struct, frozen=True):
    """What an import did.

    Attributes:
        read: events that were given; the sum of the others.
        duplicates: those whose id the log had already, or that came twice.
        refused: those of streams that are closed.
        streams: how many streams took an event.
    """

    read: int = 0
    appended: int = 0
    duplicates: int = 0
    refused: int = 0
    streams: int = 0


class Standing(msgspec.Struct, frozen=True):
    """Where an event id stands in the log."""

    stream: str
    version: int
    cursor: Cursor


def admit(appends: Sequence[Append]) -> None:
    """Refuse an append that no store could take.

    Raises:
        EventRefused: it is empty, names a stream or an id twice, or uses a name of the store's own.
    """
    streams = [append.stream for append in appends]
    ids = [event.id for append in appends for event in append.events]
    if not appends or not all(append.events for append in appends):
        raise EventRefused("there is nothing to append: give each stream at least one event")
    if len(set(streams)) < len(streams):
        raise EventRefused("a stream is named twice in one append: join its events")
    if len(set(ids)) < len(ids):
        raise EventRefused("an event id is given twice in one append")
    for append in appends:
        admit_stream(append.stream)
        for event in append.events:
            admit_type(event)


def admit_stream(stream: str) -> None:
    """Refuse a stream id that some database could not keep.

    Raises:
        EventRefused: it is empty, too long, or holds NUL or half a surrogate pair.
    """
    refuse_text("the stream id", stream)


def admit_type(event: NewEvent) -> None:
    """Refuse an event type of the store's own.

    Raises:
        EventRefused: it begins with '$'.
    """
    if event.type.startswith("$"):
        raise EventRefused(
            f"the event type {event.type!r} begins with '$', which marks the store's own events"
        )


def expect(append: Append, version: int, last_type: str) -> None:
    """Hold what is expected of a stream against what stands there.

    Args:
        append: what is to be appended.
        version: of the stream's last event, 0 where there is none.
        last_type: of that event.

    Raises:
        StreamClosed: the stream was tombstoned or archived.
        ConcurrencyConflict: the stream is not at the expected version.
    """
    if last_type in CLOSING:
        raise StreamClosed(append.stream, last_type.removeprefix("$"))
    fits = {
        Expected.ANY: True,
        Expected.NO_STREAM: version == 0,
        Expected.STREAM_EXISTS: version > 0,
    }
    expected = append.expected
    if not (fits[expected] if isinstance(expected, Expected) else expected == version):
        raise ConcurrencyConflict(append.stream, expected, version)


def settle(appends: Sequence[Append], standing: Mapping[str, Standing]) -> list[Appended] | None:
    """Tell whether an append that was refused had in truth succeeded before.

    An acknowledgement that was lost looks like a conflict to whoever tries again; the ids tell the difference.

    Args:
        appends: what was refused.
        standing: by event id, where those of its events stand that the log has.

    Returns:
        The result of the first call, or None where none of the events stands anywhere.

    Raises:
        EventRefused: some of the events stand, but not as one append of them would have left them.
    """
    if not standing:
        return None
    for append in appends:
        found = [standing.get(event.id) for event in append.events]
        first = found[0].version if found[0] else 0
        whole = all(
            place is not None and (place.stream, place.version) == (append.stream, first + offset)
            for offset, place in enumerate(found)
        )
        if not whole or not _began(append.expected, first):
            taken = next((event.id for event in append.events if event.id in standing), next(iter(standing)))
            raise EventRefused(
                f"the event id {taken} is taken: it stands at version {standing[taken].version} of "
                f"{standing[taken].stream!r}; give new events new ids"
            )
    last = [standing[append.events[-1].id] for append in appends]
    cursor = max(place.cursor for place in last)
    return [Appended(place.stream, place.version, cursor) for place in last]


def _began(expected: int | Expected, first: int) -> bool:
    if isinstance(expected, Expected):
        return {Expected.ANY: True, Expected.NO_STREAM: first == 1, Expected.STREAM_EXISTS: first > 1}[
            expected
        ]
    return first == expected + 1
