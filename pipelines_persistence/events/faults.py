"""Says what is wrong with a line that is no event: which field, and what to write instead."""

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events import fields
from pipelines_persistence.events.fields import quoted, shortened


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a line.

    Attributes:
        field: where it is wrong; None where that is the line as a whole.
        reason: what is wrong and what would be right; quotes a value only in part, and never a line.
    """

    field: str | None
    reason: str


class _Field(NamedTuple):
    kind: type
    check: Callable[[Any], object]
    is_required: bool = False


def _anything(_value: object) -> None:
    """Refuse nothing."""


_FIELDS = {
    "stream_id": _Field(str, fields.stream_of, is_required=True),
    "event_type": _Field(str, fields.type_of, is_required=True),
    "timestamp": _Field(str, fields.moment_of, is_required=True),
    "data": _Field(object, _anything, is_required=True),
    "event_id": _Field(str, fields.id_of),
    "schema_version": _Field(int, fields.schema_version_of),
    "correlation_id": _Field(str, fields.reference_of),
    "causation_id": _Field(str, fields.reference_of),
    "actor": _Field(str, fields.reference_of),
    "cursor": _Field(str, _anything),
}
_OTHERS_SAY = {
    "id": "event_id",
    "ts": "timestamp",
    "occurred_at": "timestamp",
    "payload": "data",
    "body": "data",
}
_KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}

_LONGEST = 240  # characters of a reason


def explain(raw: bytes, error: Exception) -> Fault:
    """Return what is wrong with a line.

    Args:
        raw: the line, which was refused.
        error: what the refusal said: the last resort.
    """
    members = _members(raw)
    if isinstance(members, Fault):
        return members
    for name in members:
        if name not in _FIELDS:
            return Fault(name, _unknown(name))
    for name, field in _FIELDS.items():
        if reason := _wrong(name, field, members.get(name)):
            return Fault(name, shortened(reason, _LONGEST))
    return Fault(None, shortened(str(error), _LONGEST))


def _members(raw: bytes) -> Mapping[str, msgspec.Raw] | Fault:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        place = f"byte 0x{raw[error.start]:02x} at position {error.start + 1}"
        return Fault(None, f"the line is no UTF-8: {place}; convert the file")
    try:
        return _object(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        return _nearly(raw) or Fault(None, f"the line is no JSON: {error}")


def _object(raw: bytes) -> Mapping[str, msgspec.Raw] | Fault:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return Fault(None, f"expected an object, got {_named(msgspec.json.decode(raw))}")


def _nearly(raw: bytes) -> Fault | None:
    """Return the fault of a line that Python takes for JSON, which it is not by RFC 8259."""
    constants: list[_Constant] = []

    def note(name: str) -> _Constant:
        constants.append(_Constant(name))
        return constants[-1]

    try:
        content = json.loads(raw, parse_constant=note)
    except (ValueError, RecursionError):
        return None
    if not constants:
        return Fault(
            None, "the line holds half a surrogate pair, which is no text: write the character itself"
        )
    members = content.items() if isinstance(content, dict) else ()
    place = next((name for name, value in members if _holds_constant(value)), None)
    return Fault(
        place, f"{constants[0].name} is no number in JSON: leave it out, or say as text why it is missing"
    )


class _Constant(NamedTuple):
    """NaN or an infinity."""

    name: str


def _holds_constant(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_constant, value.values()))
    return isinstance(value, _Constant) or (isinstance(value, list) and any(map(_holds_constant, value)))


def _unknown(name: str) -> str:
    allowed = [field for field in _FIELDS if field != "cursor"]
    near = [_OTHERS_SAY[name]] if name in _OTHERS_SAY else difflib.get_close_matches(name, allowed, 1, 0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown field {quoted(name)}: {hint}put what is your own into 'data'"


def _wrong(name: str, field: _Field, raw: msgspec.Raw | None) -> str | None:
    """Return what is wrong with the value of a field, None where it is right."""
    if raw is None:
        return f"the field {name!r} is missing" if field.is_required else None
    try:
        value = msgspec.json.decode(raw)
        if value is None and not field.is_required:
            return None
        if not isinstance(value, field.kind) or (isinstance(value, bool) and field.kind is int):
            return f"expected {_KINDS[field.kind]}, got {_named(value)}"
        field.check(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EventRefused) as error:
        return str(error)
    return None


def _named(value: object) -> str:
    kind = _KINDS.get(type(value), "null")
    return kind if isinstance(value, list | dict | None) else f"{kind} ({quoted(value)})"
