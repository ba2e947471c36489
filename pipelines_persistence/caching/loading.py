"""What whoever leads a lookup does for all who wait: ask the shared level, ask for the lease, load, and share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipelines_persistence.caching.codecs import encoded
from pipelines_persistence.caching.counters import Counters
from pipelines_persistence.caching.entries import EntryMaker
from pipelines_persistence.caching.fences import Fences, Ticket
from pipelines_persistence.caching.ports import Codec, LocalLevel
from pipelines_persistence.caching.records import Entry, Fetched, Lease, Marks, Policy, holds, is_outdated
from pipelines_persistence.caching.shared import SharedSide
from pipelines_persistence.errors import ConfigurationError, PermanentError, RunCancelled

T = TypeVar("T")
_FIRST_POLL = 0.02
_LONGEST_POLL = 0.25
_FINAL = (PermanentError, ConfigurationError, RunCancelled)
"""Answers of the origin, not failures of it: a stale value must not hide them."""


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One lookup; see `Namespace.get_or_load`."""

    name: str
    loader: Callable[[], T]
    version: int | None
    tags: tuple[str, ...]
    ttl: float | None
    token: str


@dataclass(frozen=True, slots=True)
class Spare:
    """What may be served if loading fails, as long as its ticket is valid."""

    entry: Entry
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Loading(Generic[T]):
    """The way past the memory of this process."""

    codec: Codec[T]
    local: LocalLevel
    shared: SharedSide
    fences: Fences
    policy: Policy
    clock: Callable[[], float]
    counters: Counters
    maker: EntryMaker

    def obtain(self, request: Request[T], marks: Marks, known: Entry | None, *, is_refresh: bool) -> Entry:
        """Return a value from the shared level, from another process that loads it, or from the origin.

        Args:
            request: what is wanted.
            marks: its tags as they were when it was asked for.
            known: what memory holds, fresh or stale, or None.
            is_refresh: whether `known` is fresh, and is to be renewed before it ends.
        """
        held = [self.fences.take(request.name, marks)]
        try:
            return self._obtain(request, known, held, is_refresh=is_refresh)
        finally:
            self.fences.give_back(request.name, held)

    def _obtain(
        self, request: Request[T], known: Entry | None, held: list[Ticket], *, is_refresh: bool
    ) -> Entry:
        deadline, poll = self.clock() + self.policy.patience, _FIRST_POLL
        spare = self._still(request.name, known, held[0])
        while True:
            ticket = held[-1]
            fetched = self.shared.fetch(request.name, request.tags)
            found = self.accepted(request.name, request.version, request.tags, fetched, ticket)
            if found is not None:
                if not self._is_worth_loading(found, spare, is_refresh=is_refresh):
                    self.counters.add("shared_hits")
                    return found
                is_refresh = is_refresh or found.fresh > self.clock()
                spare = Spare(found, ticket) if self.fences.is_undisturbed(ticket) else None
            lease = self._lease(request, fetched)
            if lease is None or lease.granted or self.clock() >= deadline:
                return self._load(request, ticket, lease, spare, is_refresh=is_refresh)
            if spare is not None and is_refresh:
                self.counters.add("local_hits")
                return spare.entry  # another process renews it
            if lease.busy:
                ticket.wait(poll)
                poll = min(poll * 1.5, _LONGEST_POLL)
            held.append(self.fences.take(request.name, self.fences.marks(request.tags)))

    def alone(self, request: Request[T]) -> Entry:
        """Load within a load of the same key: nobody waits for it, and nothing is kept."""
        self.counters.add("misses")
        data = encoded(self.codec, request.loader())
        shared = self.maker.shared(
            data, request.version, cost=0.0, ttl=request.ttl, stamp="", tags=request.tags
        )
        return self.maker.local(shared)

    def accepted(
        self,
        name: str,
        version: int | None,
        tags: tuple[str, ...],
        fetched: Fetched | None,
        ticket: Ticket,
    ) -> Entry | None:
        """Return what the shared level holds, if it will do, fresh or stale; keep it in memory if it is of now.

        Args:
            name: of the entry.
            version: what is older will not do.
            tags: of the ticket.
            fetched: what the shared level said.
            ticket: from before it was asked.
        """
        shared = fetched.value if fetched else None
        if shared is None or not self._is_readable(shared.data):
            return None
        with self.fences.lock:
            entry = self.maker.local(shared, ticket.marks if shared.tags == tags else None)
            if not entry.accepts(version):
                return None
            if self.fences.is_undisturbed(ticket) and entry.fresh > self.clock():
                self.local.put(name, entry)
        return entry

    def _is_readable(self, data: bytes) -> bool:
        try:
            self.codec.decode(data)
        except Exception:  # noqa: BLE001 - whatever a codec thinks of damaged bytes: they are loaded again
            return False
        return True

    def _still(self, name: str, known: Entry | None, ticket: Ticket) -> Spare | None:
        """Return what memory held a moment ago, if it still does: the ticket tells what happens from now on."""
        with self.fences.lock:
            is_there = known is not None and self.local.get(name) is known
        return Spare(known, ticket) if known is not None and is_there else None

    def _is_worth_loading(self, found: Entry, spare: Spare | None, *, is_refresh: bool) -> bool:
        if found.fresh <= self.clock():
            return True
        if is_refresh and spare is not None:
            return found.stamp == spare.entry.stamp
        return self.maker.is_due(found)

    def _lease(self, request: Request[T], fetched: Fetched | None) -> Lease | None:
        if fetched is None:
            return None
        return self.shared.lease(request.name, request.tags, request.token, fetched.stamp)

    def _load(
        self,
        request: Request[T],
        ticket: Ticket,
        lease: Lease | None,
        spare: Spare | None,
        *,
        is_refresh: bool,
    ) -> Entry:
        started, is_shared = self.clock(), False
        try:
            data = encoded(self.codec, request.loader())
            self.counters.add("refreshes" if is_refresh else "misses")
            entry, is_shared = self._keep(request, data, self.clock() - started, ticket, lease)
        except Exception as error:  # noqa: BLE001 - whatever the origin raises; it is raised again where nothing can be served
            return self._instead(error, request.name, spare, is_refresh=is_refresh)
        finally:
            if not is_shared:
                self.shared.release(request.name, lease)
        return entry

    def _keep(
        self, request: Request[T], data: bytes, cost: float, ticket: Ticket, lease: Lease | None
    ) -> tuple[Entry, bool]:
        """Share what was loaded; returns it, and whether the lease was used up by that."""
        shared = self.maker.shared(
            data, request.version, cost=cost, ttl=request.ttl, stamp=request.token, tags=request.tags
        )
        entry = self.maker.local(shared, ticket.marks)
        if len(data) > self.policy.largest:
            self.counters.add("too_large")
            return entry, False
        taken = None
        if lease is not None and lease.granted:
            taken = self.shared.store(request.name, shared, lease)
        with self.fences.lock:
            if taken is not False and self.fences.is_good(ticket):
                self.fences.change(request.name, by=ticket)  # who read what stood there before
                self._put(request.name, entry)
        return entry, bool(taken)

    def _put(self, name: str, entry: Entry) -> None:
        current = self.local.get(name)
        if current is None or not is_outdated(entry.version, current.version):
            self.local.put(name, entry)

    def _instead(self, error: Exception, name: str, spare: Spare | None, *, is_refresh: bool) -> Entry:
        """Return what is known, if it may be served; else raise the error."""
        self.counters.add("errors")
        with self.fences.lock:
            if spare is None or isinstance(error, _FINAL) or not self._may_serve(spare):
                self.counters.add("refreshes" if is_refresh else "misses")
                raise error
            self.counters.add("stale" if spare.entry.fresh <= self.clock() else "local_hits")
            self.local.put(name, self.maker.held(spare.entry))
        return spare.entry

    def _may_serve(self, spare: Spare) -> bool:
        return spare.ticket.valid and holds(spare.entry.marks) and self.clock() < spare.entry.end
