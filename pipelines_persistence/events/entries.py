"""Entries of a stream as events: one field for each field of a line, or one field that holds a whole line."""

from datetime import UTC, datetime, timedelta

import msgspec

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events.codec import check
from pipelines_persistence.events.faults import Fault, explain
from pipelines_persistence.events.feeds import Entry
from pipelines_persistence.events.identity import derived_id
from pipelines_persistence.events.jsonl import LineParser, Pair

_WHOLE = frozenset({b"event", b"json"})
_AS_JSON = frozenset({"data", "schema_version"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Members = dict[str, msgspec.Raw]


class EntryParser:
    """Turns the entries of one stream into events.

    An entry without an id of its own gets one from what it is: the stream's name, the entry's id and its content. An
    entry without a time happened when it was added.
    """

    def __init__(self, name: str) -> None:
        """Take the stream's name, which is a part of its events' identity."""
        self._name = name.encode()
        self._lines = LineParser()

    def parse(self, entry: Entry) -> Pair | Fault:
        """Return the event of an entry, or what is wrong with it."""
        members = _members(entry)
        if isinstance(members, Fault):
            return members
        if "timestamp" not in members:
            added = _added_at(entry.id)
            if added is None:
                return Fault("timestamp", f"the field is missing, and the entry's id {entry.id} is no time")
            members["timestamp"] = added
        members.setdefault("event_id", _raw(self._derived(entry)))
        return self._lines.parse(msgspec.json.encode(members))

    def _derived(self, entry: Entry) -> str:
        content = (part for field in entry.fields.items() for part in field)
        return derived_id(b"entry", self._name, entry.id.encode(), *content)


def _members(entry: Entry) -> Members | Fault:
    names = list(entry.fields)
    if len(names) == 1 and names[0] in _WHOLE:
        return _whole(entry.fields[names[0]])
    members: Members = {}
    for key, value in entry.fields.items():
        name = key.decode(errors="replace")
        member = _member(name, value)
        if isinstance(member, Fault):
            return member
        members[name] = member
    return members


def _whole(line: bytes) -> Members | Fault:
    try:
        return msgspec.json.decode(line, type=Members)
    except (ValueError, RecursionError) as error:
        return explain(line, error)


def _member(name: str, value: bytes) -> msgspec.Raw | Fault:
    try:
        if name in _AS_JSON:
            check(value)
            return msgspec.Raw(value)
        return _raw(value.decode())
    except UnicodeDecodeError as error:
        return Fault(name, f"no UTF-8: byte 0x{value[error.start]:02x} at position {error.start + 1}")
    except EventRefused as error:
        return Fault(name, str(error))


def _added_at(entry_id: str) -> msgspec.Raw | None:
    try:
        moment = _EPOCH + timedelta(milliseconds=int(entry_id.partition("-")[0]))
    except OverflowError:
        return None
    return _raw(moment.isoformat())


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))
