"""How long an entry is worth what: freshness with jitter, trust, staleness, and when to refresh it early."""

import math
from collections.abc import Callable
from dataclasses import replace

from pipelines_persistence.caching.fences import Fences
from pipelines_persistence.caching.records import Entry, Marks, Policy, Shared

_CERTAINTY = 20.0
"""-ln(x) of a random x is above this once in half a billion times."""


class EntryMaker:
    """Makes the entries of one namespace."""

    def __init__(
        self,
        fences: Fences,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
        ttl: float,
        stale: float,
        policy: Policy,
    ) -> None:
        self._fences = fences
        self._clock = clock
        self._chance = chance
        self._ttl = ttl
        self._stale = stale
        self._policy = policy

    def shared(
        self,
        data: bytes,
        version: int | None,
        *,
        cost: float,
        ttl: float | None,
        stamp: str,
        tags: tuple[str, ...],
    ) -> Shared:
        """Return a value as it goes to the shared level, with jitter so that entries do not end together."""
        seconds = self._ttl if ttl is None else ttl
        fresh = seconds * (1 - self._policy.jitter * self._chance())
        return Shared(data, version, fresh, self._stale, cost, stamp, tags)

    def local(self, shared: Shared, marks: Marks | None = None) -> Entry:
        """Return a value as it stands in this process; the trust in it ends with the policy's `local_ttl`."""
        now = self._clock()
        fresh = now + shared.fresh
        trusted = min(fresh, now + self._policy.local_ttl)
        return Entry(
            data=shared.data,
            version=shared.version,
            certain=min(trusted, fresh - shared.cost * self._policy.beta * _CERTAINTY),
            trusted=trusted,
            fresh=fresh,
            end=fresh + shared.stale,
            cost=shared.cost,
            marks=self._fences.marks(shared.tags) if marks is None else marks,
            stamp=shared.stamp,
        )

    def trace(self, version: int, marks: Marks) -> Entry:
        """Return what an invalidation leaves behind that named a version."""
        end = self._clock() + self._ttl + self._stale
        return Entry(None, version, 0.0, 0.0, 0.0, end, 0.0, marks)

    def held(self, entry: Entry) -> Entry:
        """Return a stale entry that is served for a while before its origin is asked again."""
        return replace(entry, certain=0.0, trusted=self._clock() + self._policy.hold)

    def is_due(self, entry: Entry) -> bool:
        """Whether this caller should load a fresh entry again before it ends: the dearer and the later, the likelier.

        Source: Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
        """
        now = self._clock()
        if now >= entry.fresh:
            return False
        early = entry.cost * self._policy.beta * -math.log(1.0 - self._chance())
        return now + early >= entry.fresh
