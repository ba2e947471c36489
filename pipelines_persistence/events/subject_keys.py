"""Keys of data subjects: a person's data is readable as long as the person's key is there."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

CACHE_SECONDS = 5.0
"""How long after `forget` another process may still find the key, at most: the same in all of them, so no option."""

_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """The key of a subject.

    Attributes:
        id: a UUID in its canonical text form; never used for another key.
        secret: 32 bytes, in no repr.
    """

    id: str
    secret: bytes = field(repr=False)


class SubjectKeys(Protocol):
    """Keeps one key for each subject until the subject is forgotten.

    Every method may raise `DatabaseUnavailable` and `StorageError`.
    """

    def obtain(self, subjects: Collection[str]) -> Mapping[str, SubjectKey]:
        """Return the key of each subject, made where there is none; always what stands now, never from a cache.

        Raises:
            ConfigurationError: keys cannot be made or opened.
        """

    def find(self, ids: Collection[str]) -> Mapping[str, SubjectKey]:
        """Return by their ids those keys that are there; the others were forgotten.

        Raises:
            ConfigurationError: a key cannot be opened.
        """

    def forget(self, subject: str) -> bool:
        """Delete a subject's key for good; return whether there was one.

        What is sealed for the subject later gets a new key.
        """


class Cipher(Protocol):
    """Encrypts bytes so that every change of them is noticed."""

    def seal(self, secret: bytes, plain: bytes, context: bytes) -> bytes:
        """Return the encrypted form of some bytes, different each time.

        Args:
            secret: 32 bytes.
            plain: what to encrypt.
            context: where it belongs; the encrypted form can be opened nowhere else.
        """

    def open(self, secret: bytes, sealed: bytes, context: bytes) -> bytes:
        """Return the bytes that were sealed.

        Raises:
            ValueError: they were changed, or belong elsewhere.
        """


@dataclass(frozen=True, slots=True)
class _Entry:
    key: SubjectKey | None
    until: float


class CachedKeys:
    """`SubjectKeys` whose `find` answers from memory, for a short time. Safe to share between threads.

    A key that another process has forgotten is found for `CACHE_SECONDS` more, at most; one that was forgotten through this
    object is not found again. `obtain` always asks, so that nothing is sealed with a key that has long been forgotten.
    """

    def __init__(
        self,
        keys: SubjectKeys,
        *,
        size: int = _CACHE_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the keys, how many of them are remembered, and the clock, in seconds."""
        self._keys = keys
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        # All entries live equally long: the first is always the next to go.
        self._entries: dict[str, _Entry] = {}
        self._forgotten = 0

    def obtain(self, subjects: Collection[str]) -> Mapping[str, SubjectKey]:
        """See `SubjectKeys`."""
        return self._keys.obtain(subjects)

    def find(self, ids: Collection[str]) -> Mapping[str, SubjectKey]:
        """See `SubjectKeys`."""
        # The time before the keys are looked up counts: what is learned then may be over when the answer comes.
        now = self._clock()
        with self._lock:
            known = {
                id_: entry
                for id_ in ids
                if (entry := self._entries.get(id_)) is not None and now < entry.until
            }
            forgotten = self._forgotten
        if missing := [id_ for id_ in ids if id_ not in known]:
            found = self._keys.find(missing)
            learned = {id_: _Entry(found.get(id_), now + CACHE_SECONDS) for id_ in missing}
            self._remember(learned, forgotten, now)
            known |= learned
        return {id_: entry.key for id_, entry in known.items() if entry.key is not None}

    def forget(self, subject: str) -> bool:
        """See `SubjectKeys`."""
        try:
            return self._keys.forget(subject)
        finally:
            with self._lock:
                self._forgotten += 1
                self._entries.clear()

    def _remember(self, learned: Mapping[str, _Entry], forgotten: int, now: float) -> None:
        with self._lock:
            if forgotten != self._forgotten:
                return  # a key was deleted in the meantime, perhaps one of these
            for id_ in learned:
                self._entries.pop(id_, None)
            self._entries |= learned
            while self._entries:
                oldest = next(iter(self._entries))
                if len(self._entries) <= self._size and now < self._entries[oldest].until:
                    break
                del self._entries[oldest]
