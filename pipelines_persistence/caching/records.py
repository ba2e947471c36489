"""The values of the cache: what a level holds, what a load is allowed to do, and the policy."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines_persistence.errors import ConfigurationError


class Cell:
    """The version of a tag in this process: whoever drops the tag moves it on. Compared, never ordered."""

    __slots__ = ("__weakref__", "epoch")

    def __init__(self) -> None:
        self.epoch = 0


Marks = tuple[tuple[Cell, int], ...]
"""The tags of an entry, each with the epoch in which the entry was made."""


def holds(marks: Marks) -> bool:
    """Whether none of the tags was dropped since."""
    for cell, epoch in marks:  # noqa: SIM110 - on the path of every hit: a generator would cost as much again
        if cell.epoch != epoch:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in the memory of this process.

    Attributes:
        data: the encoded value; None for the trace of an invalidation that named a version.
        version: None where nobody gave one.
        certain: moment (monotonic, seconds) until which it is served with no further thought.
        trusted: until which this process need not ask the shared level.
        fresh: until which it need not be loaded again.
        end: until which it may be served when the origin fails.
        cost: seconds that loading took.
        marks: its tags.
        stamp: of the write in the shared level that it came from or went to, "" if there was none.
    """

    data: bytes | None
    version: int | None
    certain: float
    trusted: float
    fresh: float
    end: float
    cost: float
    marks: Marks
    stamp: str = ""

    def accepts(self, version: int | None) -> bool:
        """Whether there is a value that is at least as new as `version`."""
        return self.data is not None and not is_older(self.version, version)


_LONGEST = 10 * 366 * 86_400.0
"""Seconds that an entry may be asked to be kept: far beyond any use, and far below what a server refuses."""


def require_seconds(name: str, value: object) -> None:
    """Refuse what is no duration of an entry.

    Raises:
        ConfigurationError: it is no number, not finite, negative, or above ten years.
    """
    if not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise ConfigurationError(
            f"{name}={value!r} cannot be used for a cache: give seconds, 0 to {_LONGEST:.0f}"
        )


def new_stamp() -> str:
    """Return what no other write, lease or tag has."""
    return secrets.token_hex(12)


def is_older(version: int | None, than: int | None) -> bool:
    """Whether one version is known to be below another; what has no version is older than what has one."""
    return than is not None and (version is None or version < than)


def is_outdated(version: int | None, current: int | None) -> bool:
    """Whether a value must not replace the current one; a value without a version always may."""
    return version is not None and current is not None and version < current


@dataclass(frozen=True, slots=True)
class Shared:
    """A value as it stands in the shared level.

    Attributes:
        data: the encoded value.
        fresh: seconds for which it is still fresh; negative where it no longer is.
        stale: seconds beyond that for which it is kept.
        cost: seconds that loading took.
        stamp: of the write; no two are equal.
        tags: of the entry.
    """

    data: bytes
    version: int | None
    fresh: float
    stale: float
    cost: float
    stamp: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the shared level holds under a key.

    Attributes:
        value: None if there is nothing that may be served.
        stamp: of the last write, whatever it left there; "" where nothing is known.
    """

    value: Shared | None
    stamp: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to load a key for all processes, as in Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013.

    An invalidation takes it away, and with it the right to store what was loaded before.

    Attributes:
        granted: False while another process has it, or if the entry has changed since it was looked at.
        busy: whether another process has it.
        token: of the one who asked.
        stamps: of the tags, when the lease was asked for.
    """

    granted: bool
    busy: bool
    token: str
    stamps: dict[str, str]


@dataclass(frozen=True, slots=True)
class Policy:
    """How long, how large, how patient; see `CacheConfig` for each."""

    ttl: float = 3600.0
    local_ttl: float = 300.0
    stale: float = 86_400.0
    largest: int = 2**20
    jitter: float = 0.1
    patience: float = 30.0
    hold: float = 5.0
    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class Stats:
    """What happened in one namespace in this process since it began.

    Attributes:
        local_hits, shared_hits: lookups answered by this process's memory, and by the shared level.
        misses: lookups that had to load, or, of `get`, found nothing.
        coalesced: lookups that waited for the load of another thread.
        stale: lookups answered with what was no longer fresh, for the origin failed.
        refreshes: lookups that loaded before freshness ended, so that nobody has to wait when it does.
        errors: loads that failed.
        too_large: values that were not cached for their size.
    """

    local_hits: int = 0
    shared_hits: int = 0
    misses: int = 0
    coalesced: int = 0
    stale: int = 0
    refreshes: int = 0
    errors: int = 0
    too_large: int = 0

    @property
    def lookups(self) -> int:
        """How often a value was asked for."""
        hits = self.local_hits + self.shared_hits
        return hits + self.misses + self.coalesced + self.stale + self.refreshes

    @property
    def hit_rate(self) -> float:
        """Share of the lookups that did not load, 0 to 1; 0 where there was none."""
        return 1 - (self.misses + self.refreshes) / self.lookups if self.lookups else 0.0


def stats_by_namespace(counts: Mapping[str, int]) -> dict[str, Stats]:
    """Return counts by `namespace:count` as statistics by namespace; counts of later versions are left out."""
    found: dict[str, dict[str, int]] = {}
    for key, count in sorted(counts.items()):
        name, _, what = key.rpartition(":")
        if what in Stats.__dataclass_fields__:
            found.setdefault(name, {})[what] = count
    return {name: Stats(**known) for name, known in found.items()}


@dataclass(frozen=True, slots=True)
class CacheState:
    """What a cache is and did.

    Attributes:
        backend: such as "memory" or "redis".
        shared: "none", "up" or "down".
        failures: calls of the shared level that failed.
        entries, bytes: in the memory of this process.
        namespaces: by name.
    """

    backend: str
    shared: str
    failures: int
    entries: int
    bytes: int
    namespaces: dict[str, Stats] = field(default_factory=dict)
