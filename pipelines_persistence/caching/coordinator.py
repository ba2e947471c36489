"""The cache of two levels: see docs/caching.md for what it promises, and decision 9 for why it is so."""

import random
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, TypeVar

from pipelines_persistence.caching.counters import Counters
from pipelines_persistence.caching.entries import EntryMaker
from pipelines_persistence.caching.fences import Fences
from pipelines_persistence.caching.namespace import Surroundings, TieredNamespace
from pipelines_persistence.caching.ports import Codec, Guard, LocalLevel, Namespace, SharedLevel, Unguarded
from pipelines_persistence.caching.records import (
    CacheState,
    Policy,
    Stats,
    require_seconds,
    stats_by_namespace,
)
from pipelines_persistence.caching.shared import SharedSide
from pipelines_persistence.errors import ConfigurationError

T = TypeVar("T")


class TieredCache:
    """Implements `Cache` over a local level and, where there is one, a shared level."""

    def __init__(
        self,
        local: LocalLevel,
        shared: SharedLevel | None = None,
        *,
        backend: str = "memory",
        policy: Policy | None = None,
        guard: Guard | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take the levels.

        Args:
            local: of this process.
            shared: among processes, opened when it is first needed and closed by `close`; None for none.
            backend: the name of both together.
            policy: how long, how large, how patient.
            guard: of the shared level; it is never asked to repeat anything.
            clock: monotonic, in seconds.
            chance: returns numbers from 0 to 1.
        """
        self._backend = backend
        self._local = local
        self._fences = Fences()
        self._shared = SharedSide(shared, guard or Unguarded(), self)
        self._policy = policy or Policy()
        self._clock = clock
        self._chance = chance
        self._lock = Lock()
        self._namespaces: dict[str, tuple[Counters, Codec[Any]]] = {}

    def namespace(
        self, name: str, codec: Codec[T], *, ttl: float | None = None, stale: float | None = None
    ) -> Namespace[T]:
        """See `Cache`.

        Raises:
            ConfigurationError: the name has a ':', or is in use with another codec; or a duration is none.
        """
        for what, seconds in (("ttl", ttl), ("stale", stale)):
            if seconds is not None:
                require_seconds(what, seconds)
        if ":" in name or not name:
            raise ConfigurationError(f"{name!r} cannot name a namespace of the cache: leave ':' out")
        with self._lock:
            counters, known = self._namespaces.setdefault(name, (Counters(), codec))
        if known.name != codec.name:
            raise ConfigurationError(
                f"the namespace {name!r} of the cache holds {known.name!r}, not {codec.name!r}: choose another name"
            )
        policy = self._policy
        maker = EntryMaker(
            self._fences,
            clock=self._clock,
            chance=self._chance,
            ttl=policy.ttl if ttl is None else ttl,
            stale=policy.stale if stale is None else stale,
            policy=policy,
        )
        around = Surroundings(self._local, self._shared, self._fences, policy, self._clock, counters, maker)
        return TieredNamespace(f"{name}.{codec.name}", codec, around)

    def invalidate_tags(self, *tags: str) -> None:
        """See `Cache`."""
        names = [f"#{tag}" for tag in tags]
        try:
            self._shared.drop_tags(names)
        finally:
            self._fences.drop(names)

    def state(self) -> CacheState:
        """See `Cache`."""
        entries, size = self._local.size()
        level = self._shared.level
        self._shared.start()
        reach = "none" if level is None else "up" if level.available else "down"
        with self._lock:
            stats = {name: counters.stats() for name, (counters, _) in sorted(self._namespaces.items())}
        return CacheState(self._backend, reach, self._shared.failures, entries, size, stats)

    def totals(self) -> dict[str, Stats]:
        """See `Cache`."""
        with self._lock:
            counters = {name: counted for name, (counted, _) in sorted(self._namespaces.items())}
        news = {name: counted.untold() for name, counted in counters.items()}
        known = self._shared.tally(
            {f"{name}:{what}": count for name, counts in news.items() for what, count in counts.items()}
        )
        if known is None:
            return {name: counted.stats() for name, counted in counters.items()}
        for name, counted in counters.items():
            counted.tell(news[name])
        return stats_by_namespace(known)

    def close(self) -> None:
        """See `Cache`."""
        if self._shared.is_started:
            self.totals()  # so that others see what this process did
        self._shared.close()

    # The listener of the shared level

    def changed(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        """See `Listener`."""
        with self._fences.lock:
            for key in keys:
                self._fences.change(key)
                self._local.delete(key)
            if tags:
                self._fences.drop(tags)

    def unknown(self) -> None:
        """See `Listener`."""
        with self._fences.lock:
            self._fences.change_all()
            self._local.clear()
