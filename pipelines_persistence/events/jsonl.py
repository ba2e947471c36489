"""Events as lines of JSONL, both ways: `{"stream_id", "event_type", "timestamp", "data"}` and what is optional."""

from datetime import UTC
from typing import TypeAlias

import msgspec

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events.faults import Fault, explain
from pipelines_persistence.events.fields import id_of, moment_of, schema_version_of, stream_of, type_of
from pipelines_persistence.events.identity import Occurrences, derived_id
from pipelines_persistence.events.records import NewEvent, StoredEvent

LONGEST_LINE = 16 * 2**20
"""Bytes of a line, at most."""

Pair: TypeAlias = tuple[str, NewEvent]
"""A stream's id and an event for it."""

_BOM = b"\xef\xbb\xbf"
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class _Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A line as it is written.

    Attributes:
        cursor: where the event stood in the log that it was read from; of no meaning when it is loaded.
    """

    stream_id: str
    event_type: str
    timestamp: str
    data: msgspec.Raw
    event_id: str | None = None
    schema_version: int | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    cursor: str | None = None


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode
_REFUSALS = (EventRefused, ValueError, RecursionError)  # msgspec's and Unicode's errors are ValueErrors


class LineParser:
    """Turns the lines of one file into events, in their order.

    A line without an id gets one from what it says and from how many equal lines came before it in its file: loading
    the file again, or more of it, gives each event its id again, and two equal lines stay two events.
    """

    def __init__(self) -> None:
        """Begin a file."""
        self._occurrences = Occurrences()

    def parse(self, raw: bytes) -> Pair | Fault:
        """Return the event of a line, or what is wrong with it; a byte order mark and the line's end are ignored."""
        if len(raw) > LONGEST_LINE:
            return Fault(
                None,
                f"the line has more than {LONGEST_LINE:,} bytes: keep large content elsewhere, its place here",
            )
        raw = raw.removeprefix(_BOM)
        try:
            line = _decode(raw)
            return stream_of(line.stream_id), self._event(line)
        except _REFUSALS as error:
            return explain(raw, error)

    def _event(self, line: _Line) -> NewEvent:
        data = bytes(line.data)
        return NewEvent(
            type_of(line.event_type),
            data,
            self._derived(line, data) if line.event_id is None else id_of(line.event_id),
            schema_version_of(line.schema_version),
            moment_of(line.timestamp),
            line.correlation_id,
            line.causation_id,
            line.actor,
        )

    def _derived(self, line: _Line, data: bytes) -> str:
        parts = (b"line", line.stream_id.encode(), line.event_type.encode(), line.timestamp.encode(), data)
        first = derived_id(*parts)
        before = self._occurrences.before(first)
        return derived_id(*parts, b"%d" % before) if before else first


def to_line(event: StoredEvent) -> bytes:
    """Return an event as a line that loads as the same event again; its data keeps its bytes but for line breaks."""
    line = _Line(
        stream_id=event.stream,
        event_type=event.type,
        timestamp=event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        data=on_one_line(event.data),
        event_id=event.id,
        schema_version=None if event.schema_version == 1 else event.schema_version,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        actor=event.actor,
        cursor=str(event.cursor),
    )
    return _encode(line) + b"\n"


def on_one_line(data: bytes) -> msgspec.Raw:
    """Return JSON without line breaks, which can only stand between its parts, and else byte for byte."""
    return msgspec.Raw(data.translate(_ONE_LINE))
