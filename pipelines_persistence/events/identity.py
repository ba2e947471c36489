"""Ids of events that bring none: the same event gets the same id, however often it is taken in."""

import hashlib
import re
from array import array
from uuid import UUID

_NAMESPACE = UUID("978dffc9-846e-4a37-a3a0-726df9ef5df5").bytes
"""Never changes: all derived ids would."""

_UUID = re.compile(
    r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})", re.IGNORECASE
)
_MASK = 2**64 - 1


def derived_id(*parts: bytes) -> str:
    """Return the UUIDv5 of some parts, joined by NUL.

    Args:
        parts: what identifies the event; the first one says how, so that ids of two kinds never meet.
    """
    digest = hashlib.sha1(_NAMESPACE + b"\0".join(parts), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def given_id(text: str) -> str:
    """Return the event id for an id that a source gives: a UUID as it is, any other text as its UUIDv5."""
    if match := _UUID.fullmatch(text):
        return "-".join(match.groups()).lower()
    return derived_id(b"id", text.encode())


class Occurrences:
    """Counts how often each text came before.

    A text that came once takes 12 to 24 bytes, so that a file of millions of lines can be counted: what is kept of it
    is a 64-bit hash, in a table with open addressing.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self._slots = array("Q", bytes(8 * 1024))
        self._filled = 0
        self._repeated: dict[str, int] = {}

    def before(self, text: str) -> int:
        """Return how often a text came before this time."""
        count = self._repeated.get(text) or (0 if self._is_new(hash(text) & _MASK or 1) else 1)
        if count:
            self._repeated[text] = count + 1
        return count

    def _is_new(self, key: int) -> bool:
        if not _enter(self._slots, key):
            return False
        self._filled += 1
        if self._filled * 3 > len(self._slots) * 2:
            larger = array("Q", bytes(16 * len(self._slots)))
            for known in self._slots:
                if known:
                    _enter(larger, known)
            self._slots = larger
        return True


def _enter(slots: "array[int]", key: int) -> bool:
    """Put a key that is not 0 into a table whose length is a power of two; return whether it was not there."""
    last = len(slots) - 1
    place = key & last
    while (known := slots[place]) != key:
        if not known:
            slots[place] = key
            return True
        place = (place + 1) & last
    return False
