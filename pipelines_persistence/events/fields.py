"""What a value has to be before it becomes a part of an event, wherever it comes from."""

import json
from datetime import UTC, datetime

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events.appending import MOST
from pipelines_persistence.events.identity import given_id
from pipelines_persistence.events.records import refuse_text

_SHOWN = 60  # characters of a value in a message


def shortened(text: str, limit: int = _SHOWN) -> str:
    """Return the beginning of a text, where it is too long for a message."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def quoted(value: object) -> str:
    """Return a value as shortened JSON, for a message."""
    return shortened(json.dumps(value, ensure_ascii=False))


def stream_of(text: str) -> str:
    """Return a stream's id.

    Raises:
        EventRefused: see `refuse_text`.
    """
    refuse_text("the stream id", text)
    return text


def type_of(text: str) -> str:
    """Return the type of an event that is not the store's own.

    Raises:
        EventRefused: see `refuse_text`; or it begins with '$'.
    """
    refuse_text("the event type", text)
    if text.startswith("$"):
        raise EventRefused(f"{quoted(text)} begins with '$', which marks the store's own events")
    return text


def moment_of(text: str) -> datetime:
    """Return a moment in ISO 8601 as UTC, to the microsecond; further digits are dropped.

    Raises:
        EventRefused: it is none, says no zone, or lies outside the years 1 to 9999 in UTC.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise EventRefused(f"{quoted(text)} is no time: write it like 2026-01-31T12:00:00.5+02:00") from None
    if moment.utcoffset() is None:
        raise EventRefused(
            f"{quoted(text)} does not give its zone: end it with Z for UTC, or with its offset, such as +02:00"
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise EventRefused(f"{quoted(text)} lies outside the years 1 to 9999 in UTC") from None


def schema_version_of(number: int | None) -> int:
    """Return the schema version of an event's data; 1 where none is given.

    Raises:
        EventRefused: it is not between 1 and 2**31 - 1.
    """
    if number is None:
        return 1
    if not 1 <= number <= MOST:
        raise EventRefused(
            f"the schema version is {shortened(str(number))}: versions are counted from 1 to {MOST}"
        )
    return number


def id_of(text: str) -> str:
    """Return an event's id for the one that its source gives; see `given_id`.

    Raises:
        EventRefused: it is empty.
    """
    if not text:
        raise EventRefused("the event id is empty: leave it out, and one is made of what the event says")
    return given_id(text)


def reference_of(text: str) -> str:
    """Return the id of a correlation or a cause, or the name of an actor.

    Raises:
        EventRefused: see `refuse_text`.
    """
    refuse_text("it", text)
    return text
