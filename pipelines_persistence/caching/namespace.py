"""One namespace of the cache: how a lookup goes through memory, the shared level and the origin."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipelines_persistence.caching.codecs import encoded
from pipelines_persistence.caching.counters import Counters
from pipelines_persistence.caching.entries import EntryMaker
from pipelines_persistence.caching.fences import Fences, Flight, Ticket
from pipelines_persistence.caching.loading import Loading, Request
from pipelines_persistence.caching.ports import Codec, LocalLevel
from pipelines_persistence.caching.records import (
    Entry,
    Policy,
    holds,
    is_older,
    is_outdated,
    new_stamp,
    require_seconds,
)
from pipelines_persistence.caching.shared import SharedSide, namespace_tag

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a namespace shares with the others of its cache, and its own counters and entries."""

    local: LocalLevel
    shared: SharedSide
    fences: Fences
    policy: Policy
    clock: Callable[[], float]
    counters: Counters
    maker: EntryMaker


class TieredNamespace(Generic[T]):
    """See `Namespace`."""

    def __init__(self, name: str, codec: Codec[T], around: Surroundings) -> None:
        """Take the name, which begins every key, and what it works with."""
        self._prefix = f"{name}:"
        self._tag = namespace_tag(self._prefix)
        self._names = (self._tag,)
        self._codec = codec
        self._decode = codec.decode
        self._around = around
        self._local = around.local
        self._lookup = around.local.get
        self._shared = around.shared
        self._fences = around.fences
        self._clock = around.clock
        self._count = around.counters.add
        self._maker = around.maker
        self._marks = self._fences.marks(self._names)  # holds on to the cell
        self._loading: Loading[T] = Loading(
            codec,
            around.local,
            around.shared,
            around.fences,
            around.policy,
            around.clock,
            around.counters,
            self._maker,
        )

    def get_or_load(
        self,
        key: str,
        loader: Callable[[], T],
        *,
        version: int | None = None,
        tags: Sequence[str] = (),
        ttl: float | None = None,
    ) -> T:
        """See `Namespace`."""
        if ttl is not None:
            require_seconds("ttl", ttl)
        name = self._prefix + key
        entry = self._lookup(name)
        if entry is not None and self._is_certain(entry, version):
            self._count("local_hits")
            return self._decode(entry.data)  # type: ignore[arg-type]  # what is certain has data
        self._shared.start()
        while True:
            request = Request(name, loader, version, self._tags(tags), ttl, new_stamp())
            found = self._join(request)
            if found is not None:
                return self._decode(found.data)  # type: ignore[arg-type]  # what is served has data

    def get(self, key: str, *, version: int | None = None) -> T | None:
        """See `Namespace`."""
        name = self._prefix + key
        entry = self._lookup(name)
        if entry is None or not self._is_certain(entry, version):
            entry = self._usable(name, version) or self._fetch(name, version)
        else:
            self._count("local_hits")
        if entry is None:
            self._count("misses")
            return None
        return self._decode(entry.data)  # type: ignore[arg-type]  # what is usable has data

    def set(
        self,
        key: str,
        value: T,
        *,
        version: int | None = None,
        tags: Sequence[str] = (),
        ttl: float | None = None,
    ) -> bool:
        """See `Namespace`."""
        if ttl is not None:
            require_seconds("ttl", ttl)
        self._shared.start()
        name, data, names = self._prefix + key, encoded(self._codec, value), self._tags(tags)
        if len(data) > self._around.policy.largest:
            self._count("too_large")
            self.invalidate(key)
            return False
        token = new_stamp()
        shared = self._maker.shared(data, version, cost=0.0, ttl=ttl, stamp=token, tags=names)
        with self._fences.ticket(name, self._fences.marks(names)) as ticket:
            self._fences.change(name, by=ticket)
            taken = self._shared.store(name, shared, None)
            return self._written(name, self._maker.local(shared, ticket.marks), ticket, taken)

    def warm(
        self, items: Iterable[tuple[str, T]], *, version: int | None = None, tags: Sequence[str] = ()
    ) -> int:
        """See `Namespace`."""
        return sum(self.set(key, value, version=version, tags=tags) for key, value in items)

    def invalidate(self, key: str, *, version: int | None = None) -> None:
        """See `Namespace`."""
        name = self._prefix + key
        try:
            self._shared.drop(name, version)
        finally:
            # After the shared level: who read from it before has a ticket that is revoked now.
            with self._fences.lock:
                self._fences.change(name)
                self._forget(name, version)

    def clear(self) -> None:
        """See `Namespace`."""
        try:
            self._shared.drop_tags([self._tag])
        finally:
            self._fences.drop([self._tag])

    def _is_certain(self, entry: Entry, version: int | None) -> bool:
        return (
            self._clock() < entry.certain
            and (version is None or not is_older(entry.version, version))
            and holds(entry.marks)
        )

    def _tags(self, tags: Sequence[str]) -> tuple[str, ...]:
        return (self._tag, *[f"#{tag}" for tag in tags]) if tags else self._names

    def _usable(self, name: str, version: int | None) -> Entry | None:
        entry = self._lookup(name)
        if entry is None or self._clock() >= entry.trusted:
            return None
        if not (entry.accepts(version) and holds(entry.marks)):
            return None
        self._count("local_hits" if self._clock() < entry.fresh else "stale")
        return entry

    def _join(self, request: Request[T]) -> Entry | None:
        """Serve from memory, wait for who loads, or load; None if who loaded gave up."""
        with self._fences.lock:
            known = self._lookup(request.name)
            if known is not None and not (known.accepts(request.version) and holds(known.marks)):
                known = None
            flight = self._fences.flights.get(request.name)
            is_trusted = known is not None and self._clock() < known.trusted
            is_due = is_trusted and flight is None and self._maker.is_due(known)  # type: ignore[arg-type]  # trusted
            if known is not None and is_trusted and not is_due:
                self._count("local_hits" if self._clock() < known.fresh else "stale")
                return known
            is_nested = flight is not None and flight.is_mine
            is_mine = flight is None or not flight.accepts(request.version)
            if (flight is None or is_mine) and not is_nested:
                flight = Flight(self._fences.marks(request.tags), request.version)
                self._fences.flights[request.name] = flight
            elif flight is not None:
                flight.join()
        if is_nested or flight is None:
            return self._loading.alone(request)
        if is_mine:
            return self._lead(flight, request, known, is_refresh=is_due)
        self._count("coalesced")
        if not flight.wait(self._around.policy.patience):
            return self._loading.alone(request)  # such as two loads that need each other
        return flight.result()

    def _lead(self, flight: Flight, request: Request[T], known: Entry | None, *, is_refresh: bool) -> Entry:
        entry, failure = None, None
        try:
            entry = self._loading.obtain(request, flight.marks, known, is_refresh=is_refresh)
        except Exception as error:
            failure = error
            raise
        finally:
            with self._fences.lock:
                if self._fences.flights.get(request.name) is flight:
                    del self._fences.flights[request.name]
            flight.land(entry, failure)
        return entry

    def _fetch(self, name: str, version: int | None) -> Entry | None:
        self._shared.start()
        with self._fences.ticket(name, self._marks) as ticket:
            fetched = self._shared.fetch(name, self._names)
            entry = self._loading.accepted(name, version, self._names, fetched, ticket)
        if entry is not None and entry.fresh > self._clock():
            self._count("shared_hits")
            return entry
        return None

    def _written(self, name: str, entry: Entry, ticket: Ticket, taken: bool | None) -> bool:  # noqa: FBT001 - an answer
        with self._fences.lock:
            self._fences.change(name, by=ticket)
            current = self._lookup(name)
            if taken is not False and current is not None and is_outdated(entry.version, current.version):
                return bool(taken)
            if taken is not False and self._fences.is_good(ticket):
                self._local.put(name, entry)
            else:
                self._local.delete(name)
            return taken is not False

    def _forget(self, name: str, version: int | None) -> None:
        current = self._lookup(name)
        if version is None:
            self._local.delete(name)
        elif current is None or is_older(current.version, version):
            self._local.put(name, self._maker.trace(version, self._marks))
