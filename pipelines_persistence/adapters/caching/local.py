"""The local level: in the memory of this process, or nowhere."""

import cachebox

from pipelines_persistence.caching.records import Entry

_OVERHEAD = 500
"""Bytes of an entry besides its key and its data, roughly."""


def _bytes(key: str, entry: Entry) -> int:
    return _OVERHEAD + len(key) + len(entry.data or b"")


class MemoryLevel:
    """See `LocalLevel`. What was not used for the longest time goes first; cachebox has a lock of its own."""

    def __init__(self, most: int) -> None:
        """Take the most bytes."""
        self._most = most
        self._entries: cachebox.LRUCache[str, Entry] = cachebox.LRUCache(most, getsizeof=_bytes)
        self.get = self._entries.get  # for every hit: a method in between would cost as much again

    def put(self, key: str, entry: Entry) -> None:
        """See `LocalLevel`."""
        if _bytes(key, entry) > self._most:
            self.delete(key)
        else:
            self._entries.insert(key, entry)

    def delete(self, key: str) -> None:
        """See `LocalLevel`."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """See `LocalLevel`."""
        self._entries.clear()

    def size(self) -> tuple[int, int]:
        """See `LocalLevel`."""
        return len(self._entries), self._entries.current_size()


class NoLevel:
    """See `LocalLevel`. Holds nothing: lookups are coalesced and counted, that is all."""

    def get(self, key: str) -> Entry | None:  # noqa: ARG002 - see `LocalLevel`
        """See `LocalLevel`."""
        return None

    def put(self, key: str, entry: Entry) -> None:
        """See `LocalLevel`."""

    def delete(self, key: str) -> None:
        """See `LocalLevel`."""

    def clear(self) -> None:
        """See `LocalLevel`."""

    def size(self) -> tuple[int, int]:
        """See `LocalLevel`."""
        return 0, 0
