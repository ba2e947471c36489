"""JSON that loses nothing: decimals as strings, no NaN, no naive moment, the exact bytes kept."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias, TypeVar, overload

import msgspec

from pipelines_persistence.errors import EventRefused

Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""A field of this type refuses a naive datetime when it is decoded."""

T = TypeVar("T")

# msgspec writes NaN as null and a naive datetime without a zone, both without a word. The values are walked only when
# the text has something that they could have become, so that the usual event costs one scan in C.
_SUSPECT = re.compile(rb'null|"[+-]?s?(?:nan|inf)|"\d{4}-\d\d-\d\dT[\d:.]+"', re.IGNORECASE)
_encoder = msgspec.json.Encoder(decimal_format="string")


def encode(value: object) -> bytes:
    """Return a value as JSON: UTF-8, compact, keys in their order, decimals as strings.

    Args:
        value: anything that msgspec writes: structs, dataclasses, mappings, decimals, aware datetimes, UUIDs.

    Raises:
        EventRefused: it holds NaN, an infinity, a naive datetime, or something that JSON cannot say.
    """
    try:
        data = _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EventRefused(
            f"the value cannot be written as JSON: {error}; change it to plain values"
        ) from error
    if _SUSPECT.search(data):
        _refuse_lossy(msgspec.to_builtins(value, builtin_types=(datetime, Decimal)), "$")
    return data


@overload
def decode(data: bytes) -> Any: ...  # noqa: ANN401 - JSON is any value
@overload
def decode(data: bytes, kind: type[T]) -> T: ...
def decode(data: bytes, kind: Any = Any) -> Any:
    """Return what JSON says, checked against a type where one is given.

    Raises:
        EventRefused: it is no valid JSON, or not of that type.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventRefused(f"the data of the event is no valid JSON: {error}") from error


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON is any value
    """Return a value as the lists, dicts, texts and numbers that its JSON has."""
    return msgspec.to_builtins(value, builtin_types=())


def check(data: bytes) -> None:
    """Refuse what is no valid JSON by RFC 8259: NaN, Infinity, half a surrogate pair, a byte order mark.

    Raises:
        EventRefused: with the place of the mistake.
    """
    decode(data)


def _refuse_lossy(value: object, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise EventRefused(
            f"{path} is {value}: JSON has no such number; leave it out, or say why it is missing"
        )
    if isinstance(value, Decimal) and not value.is_finite():
        raise EventRefused(f"{path} is the decimal {value}: leave it out, or say why it is missing")
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise EventRefused(f"{path} is a naive datetime: use datetime.now(UTC), or give its zone")
    for key, part in _parts(value):
        _refuse_lossy(key, path)
        _refuse_lossy(part, f"{path}.{key}")


def _parts(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(value)
    return ()
