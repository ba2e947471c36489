"""Payloads to the wire and back: maps of `qdrant.Value`.

They are written as bytes, not as messages: that takes two thirds of the time, and a test holds the bytes against the messages
that they stand for. Encoding: https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from pipelines_persistence.records import Json, Payload

if TYPE_CHECKING:
    from qdrant_client import grpc as wire

# Fields of qdrant.Value: their number and wire type.
_NULL, _TRUE, _FALSE = b"\x08\x00", b"\x28\x01", b"\x28\x00"
_DOUBLE, _INTEGER, _STRING, _STRUCT, _LIST = b"\x11", b"\x18", b"\x22", b"\x32", b"\x3a"
_ITEM = b"\x0a"  # Struct.fields and ListValue.values
_KEY, _VALUE = b"\x0a", b"\x12"  # of an entry of a map

_double = struct.Struct("<d").pack


def _digits(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_SHORT = tuple(map(_digits, range(1 << 14)))


def varint(number: int) -> bytes:
    """Return a number that is not negative as a varint."""
    return _SHORT[number] if number < len(_SHORT) else _digits(number)


@lru_cache(maxsize=4096)
def _key(key: str) -> bytes:
    data = key.encode()
    return _KEY + varint(len(data)) + data + _VALUE


def encoded_fields(values: Mapping[str, Json], tag: bytes) -> bytes:
    """Return a payload that was checked as the entries of a map; `tag` is that of the field that holds it."""
    parts: list[bytes] = []
    for key, value in values.items():
        start, data = _key(key), _encoded(value)
        size = varint(len(data))
        parts += (tag, varint(len(start) + len(size) + len(data)), start, size, data)
    return b"".join(parts)


def _encoded(value: Json) -> bytes:  # noqa: PLR0911 - one for each type
    if isinstance(value, str):
        data = value.encode()
        return _STRING + varint(len(data)) + data
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int):
        return _INTEGER + varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return _DOUBLE + _double(value)
    if isinstance(value, Mapping):
        data = encoded_fields(value, _ITEM)
        return _STRUCT + varint(len(data)) + data
    data = b"".join([_ITEM + varint(len(item)) + item for item in map(_encoded, value)])
    return _LIST + varint(len(data)) + data


def fill_fields(fields: "Mapping[str, wire.Value]", values: Mapping[str, Json]) -> None:
    """Set the fields of a map of `qdrant.Value` to a payload that was checked."""
    for key, value in values.items():
        fields[key].MergeFromString(_encoded(value))


def read_fields(fields: "Mapping[str, wire.Value]") -> Payload:
    """Return a payload from a map of `qdrant.Value`."""
    return {key: _read(value) for key, value in fields.items()}


def _read(value: "wire.Value") -> Json:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return read_fields(value.struct_value.fields)
    if kind == "list_value":
        return [_read(item) for item in value.list_value.values]
    if kind is None or kind == "null_value":
        return None
    plain: Json = getattr(value, kind)
    return plain
