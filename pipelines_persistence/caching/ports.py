"""The seams of the cache: what its users see, and what its levels are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from pipelines_persistence.caching.records import CacheState, Entry, Fetched, Lease, Shared, Stats
from pipelines_persistence.errors import TransientError

T = TypeVar("T")


class Codec(Protocol[T]):
    """Turns values into bytes and back. What comes back belongs to the caller alone."""

    @property
    def name(self) -> str:
        """Part of every key: values of another codec are never read."""

    def encode(self, value: T) -> bytes:
        """Return the bytes of a value."""

    def decode(self, data: bytes) -> T:
        """Return the value; raises any error on bytes that are none."""


class Namespace(Protocol[T]):
    """The entries of one kind. Safe for threads; a failing level is never seen.

    A tag names entries that go together: dropping it costs the same for one entry as for a million.
    """

    def get_or_load(
        self,
        key: str,
        loader: Callable[[], T],
        *,
        version: int | None = None,
        tags: Sequence[str] = (),
        ttl: float | None = None,
    ) -> T:
        """Return the value, loaded once by whoever comes first, in this process and in all others.

        Args:
            key: identifies the value within the namespace.
            loader: asks the origin. What it raises reaches all who wait, and is not cached.
            version: what is older is not good enough; and the version of what the loader returns.
            tags: of the entry that a load makes.
            ttl: seconds, where it is not that of the namespace; 0 to ten years.

        Raises:
            ConfigurationError: the `ttl` is none, and nothing was loaded; or the value is not of the codec's kind.
            Exception: what the loader raised, unless a stale value may be served: only if the error is no `PermanentError` and
                nobody has invalidated it.
        """

    def get(self, key: str, *, version: int | None = None) -> T | None:
        """Return a fresh value, or None."""

    def set(
        self,
        key: str,
        value: T,
        *,
        version: int | None = None,
        tags: Sequence[str] = (),
        ttl: float | None = None,
    ) -> bool:
        """Put a value there for all processes; False if a newer version stands there, or it is too large.

        Raises:
            ConfigurationError: the `ttl` is none, or the value is not of the codec's kind; nothing was changed.
        """

    def warm(
        self, items: Iterable[tuple[str, T]], *, version: int | None = None, tags: Sequence[str] = ()
    ) -> int:
        """Put many values there; returns how many were taken."""

    def invalidate(self, key: str, *, version: int | None = None) -> None:
        """Remove a value from all processes; loads that began before leave nothing behind.

        With a `version`, only what is older is removed, and none older is taken from then on.
        """

    def clear(self) -> None:
        """Remove all values of the namespace from all processes."""


class Cache(Protocol):
    """A cache of two levels, or of one, or of none."""

    def namespace(
        self, name: str, codec: Codec[T], *, ttl: float | None = None, stale: float | None = None
    ) -> Namespace[T]:
        """Return the entries of one kind; the same name shares them and their counts.

        Args:
            name: without ':'.
            codec: of the values.
            ttl: seconds for which an entry is fresh; by default that of the configuration.
            stale: seconds beyond it for which it may be served when its origin fails, likewise.
        """

    def invalidate_tags(self, *tags: str) -> None:
        """Remove all entries that have one of these tags, in all namespaces and processes."""

    def state(self) -> CacheState:
        """What it is and did in this process."""

    def totals(self) -> dict[str, Stats]:
        """What all processes that share it did, by namespace: this one until now, the others when they were last asked or ended.

        Without a shared level, or while it is down, the counts of this process.
        """

    def close(self) -> None:
        """Release connections and threads; safe to call twice."""


class LocalLevel(Protocol):
    """Entries in the memory of this process. Safe for threads."""

    def get(self, key: str) -> Entry | None:
        """Return the entry, whether it is fresh or not."""

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry, or not."""

    def delete(self, key: str) -> None:
        """Remove an entry, if there is one."""

    def clear(self) -> None:
        """Remove all."""

    def size(self) -> tuple[int, int]:
        """How many entries there are, and their bytes."""


class Listener(Protocol):
    """Is told what others do to the shared level. Called from a thread of the level."""

    def changed(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        """Others wrote or removed these."""

    def unknown(self) -> None:
        """Anything may have changed: all was removed, or nothing was heard for a while."""


class SharedLevel(Protocol):
    """Entries that processes share. Every method raises `CacheUnavailable`."""

    @property
    def name(self) -> str:
        """Of the kind, such as "redis"."""

    @property
    def available(self) -> bool:
        """Whether it answers and tells of changes; costs nothing."""

    @property
    def trouble(self) -> str:
        """Why it is not available, without secrets; "" if it is."""

    def open(self, listener: Listener) -> None:
        """Begin to listen; returns soon, whether it answers or not."""

    def fetch(self, key: str, tags: Sequence[str]) -> Fetched:
        """Return what stands there and none of whose tags was dropped.

        Args:
            key: of the entry.
            tags: that it probably has; if it has others, it takes a little longer.
        """

    def lease(self, key: str, tags: Sequence[str], token: str, seen: str) -> Lease:
        """Ask for the right to load; not granted if the entry's stamp is no longer the one that was seen."""

    def release(self, key: str, token: str) -> None:
        """Give the right back."""

    def store(self, key: str, value: Shared, lease: Lease | None) -> bool:
        """Write a value; False if a newer version stands there, or the lease or a tag was lost since it was granted.

        Without a lease the value is taken for news: loads that are under way lose theirs.
        """

    def drop(self, key: str, version: int | None) -> None:
        """Remove a value and the lease on it; all others are told. See `Namespace.invalidate` for `version`."""

    def drop_tags(self, tags: Sequence[str]) -> None:
        """Make all entries with these tags worthless; all others are told."""

    def tally(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Add to the counts that all processes share, and return them."""

    def close(self) -> None:
        """Release connections and threads; safe to call twice."""


class Guard(Protocol):
    """Leaves a dependency alone that fails too often; `resilience.Guard` is one."""

    def call(self, work: Callable[[], T], *, repeatable: Callable[[TransientError], bool]) -> T:
        """Return what `work` returns.

        Raises:
            TransientError: of `work`, or because it was not tried.
        """


class Unguarded:
    """Calls at once."""

    def call(self, work: Callable[[], T], *, repeatable: Callable[[TransientError], bool]) -> T:  # noqa: ARG002 - see `Guard`
        """See `Guard`."""
        return work()
