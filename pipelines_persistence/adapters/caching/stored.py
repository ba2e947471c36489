"""What an entry looks like on the server, and how it is asked for: in one round trip, and in few bytes to understand."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipelines_persistence.adapters.caching.resp import Command, packed
from pipelines_persistence.caching.records import Fetched, Shared

_About = tuple[int | None, int, float, dict[str, str]]
"""Version, milliseconds of staleness, seconds that loading took, and the tags with the stamps they had."""

_DECODER: msgspec.json.Decoder[_About] = msgspec.json.Decoder(_About)
_ENCODE = msgspec.json.Encoder().encode
_BEGIN, _END = packed([("MULTI",)]), packed([("EXEC",)])

_INTEGER = re.compile(rb"-?\d{1,20}").fullmatch

ANSWERS = 5
"""To a question; the last one tells all."""


def question(name: str, tags: Sequence[str]) -> bytes:
    """Return the commands that read an entry, its expiry and the stamps of tags in one step; the names are whole.

    They write nothing, and so run on a connection that is not tracked.
    """
    asked: list[Command] = [("HMGET", name, "x", "d", "m"), ("PTTL", name), ("MGET", *tags)]
    return b"".join((_BEGIN, packed(asked), _END))


class Found:
    """What the server answered: an entry, and some stamps."""

    __slots__ = ("_about", "_data", "_left", "_stamps", "stamp")

    def __init__(self, answer: list[Any], tags: Sequence[str]) -> None:
        """Take the last answer to the question, and the tags that it named."""
        (stamp, self._data, about), self._left, stamps = answer
        self.stamp = text(stamp)
        self._about = _read(about) if self._data is not None else None
        self._stamps: dict[str, bytes | None] = dict(zip(tags, stamps, strict=True))

    def unknown(self) -> list[str]:
        """Return the tags of the entry whose stamps are not known yet."""
        return [tag for tag in self._about[3] if tag not in self._stamps] if self._about else []

    def learn(self, stamps: Mapping[str, bytes | None]) -> None:
        """Take further stamps, which were read later.

        What they were when the entry was read need not be known: no stamp ever comes back, so an entry whose stamps stand
        now was valid all the time.
        """
        self._stamps.update(stamps)

    def result(self) -> Fetched:
        """Return the entry, if all its stamps stand."""
        if self._about is None:
            return Fetched(None, self.stamp)
        version, grace, cost, wanted = self._about
        for tag, stamp in wanted.items():
            if self._stamps[tag] != stamp.encode():
                return Fetched(None, self.stamp)
        stale = grace / 1000
        fresh = self._left / 1000 - stale
        return Fetched(Shared(self._data, version, fresh, stale, cost, self.stamp, (*wanted,)), self.stamp)


def fields(value: Shared, stamps: dict[str, str]) -> list[Any]:
    """Return the fields of an entry, as HSET takes them. `v` is there for those who compare versions."""
    about: _About = (value.version, int(value.stale * 1000), value.cost, stamps)
    version = "" if value.version is None else value.version
    return ["x", value.stamp, "d", value.data, "v", version, "m", _ENCODE(about)]


def milliseconds(value: Shared) -> int:
    """Return how long an entry is kept."""
    return max(1, int((value.fresh + value.stale) * 1000))


def text(answer: bytes | None) -> str:
    """Return a stamp; "" for none. What is no text is the stamp of nobody."""
    return answer.decode(errors="replace") if answer else ""


def number(answer: bytes | None) -> int | None:
    """Return a version or a count; None where there is none that can be read."""
    return int(answer) if answer and _INTEGER(answer) else None


def _read(about: bytes | None) -> _About | None:
    """Return what is told of an entry; None where that is damaged, or of another release."""
    try:
        return _DECODER.decode(about or b"")
    except msgspec.DecodeError:
        return None
