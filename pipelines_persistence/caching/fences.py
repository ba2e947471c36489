"""What is under way in this process, and what has changed meanwhile: so that nothing old is put back.

A read of the shared level, a load and a write each hold a `Ticket` from before they begin. Whatever changes the key takes
the tickets of all others away, and who has lost his keeps his value to himself. The same idea as a memcache lease, within
the process.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, RLock, get_ident
from weakref import WeakValueDictionary

from pipelines_persistence.caching.records import Cell, Entry, Marks, holds, is_older


class Ticket:
    """The right to put a value under a key."""

    __slots__ = ("_changed", "drops", "marks", "valid")

    def __init__(self, marks: Marks, drops: int) -> None:
        self.valid = True
        self.marks = marks
        self.drops = drops
        self._changed: Event | None = None  # few wait, and an Event costs more than all the rest

    def revoke(self) -> None:
        """Take the right away, and wake who waits for a change."""
        self.valid = False
        if self._changed is not None:
            self._changed.set()

    def wait(self, seconds: float) -> None:
        """Return when the key changes, at the latest after `seconds`. Only for the one who holds it."""
        changed = self._changed = Event()
        if self.valid:  # looked at after the Event is there: who revokes it does the reverse
            changed.wait(seconds)


class Flight:
    """A load that other threads of this process wait for."""

    __slots__ = ("_done", "_landed", "entry", "error", "marks", "owner", "version")

    def __init__(self, marks: Marks, version: int | None) -> None:
        self.owner = get_ident()
        self.marks = marks
        self.version = version
        self.entry: Entry | None = None
        self.error: Exception | None = None
        self._done: Event | None = None
        self._landed = False

    @property
    def is_mine(self) -> bool:
        """Whether this very thread leads it: it must not wait for itself."""
        return self.owner == get_ident()

    def accepts(self, version: int | None) -> bool:
        """Whether its result will do for another caller."""
        return not is_older(self.version, version) and holds(self.marks)

    def land(self, entry: Entry | None, error: Exception | None = None) -> None:
        """Give the result to all who wait; neither means that nothing came of it."""
        self.entry, self.error = entry, error
        self._landed = True
        if self._done is not None:
            self._done.set()

    def join(self) -> None:
        """Say that one will wait. Under the lock: all who wait do so for the same Event."""
        if self._done is None:
            self._done = Event()

    def wait(self, seconds: float) -> bool:
        """Whether it ends within `seconds`, after one has joined."""
        return self._landed or (self._done is not None and self._done.wait(seconds))

    def result(self) -> Entry | None:
        """Return the result; None if the load was abandoned.

        Raises:
            Exception: what the loader raised.
        """
        if self.error is not None:
            raise self.error
        return self.entry


class Fences:
    """Tickets, flights and the epochs of tags. `lock` guards them and every change of the local level."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.flights: dict[str, Flight] = {}
        self._tickets: dict[str, list[Ticket]] = {}
        self._cells: WeakValueDictionary[str, Cell] = WeakValueDictionary()
        self._drops = 0

    def marks(self, tags: Sequence[str]) -> Marks:
        """Return the tags with their epochs of now."""
        with self.lock:
            return tuple((cell, cell.epoch) for cell in map(self._cell, tags))

    @contextmanager
    def ticket(self, key: str, marks: Marks) -> Iterator[Ticket]:
        """Hold a ticket for a key."""
        held = [self.take(key, marks)]
        try:
            yield held[0]
        finally:
            self.give_back(key, held)

    def take(self, key: str, marks: Marks) -> Ticket:
        """Return a ticket for a key, which must be given back."""
        with self.lock:
            ticket = Ticket(marks, self._drops)
            self._tickets.setdefault(key, []).append(ticket)
        return ticket

    def give_back(self, key: str, held: Sequence[Ticket]) -> None:
        """Give back tickets for a key."""
        with self.lock:
            tickets = self._tickets[key]
            for ticket in held:
                tickets.remove(ticket)
            if not tickets:
                del self._tickets[key]

    def is_good(self, ticket: Ticket) -> bool:
        """Whether neither the key nor one of the ticket's own tags has changed. Under the lock."""
        return ticket.valid and holds(ticket.marks)

    def is_undisturbed(self, ticket: Ticket) -> bool:
        """Whether in addition no tag at all was dropped: for a value whose tags were not known before. Under the lock."""
        return ticket.valid and ticket.drops == self._drops

    def change(self, key: str, *, by: Ticket | None = None) -> None:
        """Revoke all tickets of a key but one's own; who comes from now on does not join a load from before."""
        with self.lock:
            self.flights.pop(key, None)
            for ticket in self._tickets.get(key, ()):
                if ticket is not by:
                    ticket.revoke()

    def drop(self, tags: Sequence[str]) -> None:
        """Move tags on; entries with the epoch of before are worth nothing."""
        with self.lock:
            self._drops += 1
            for tag in tags:
                if (cell := self._cells.get(tag)) is not None:
                    cell.epoch += 1

    def change_all(self) -> None:
        """Revoke every ticket."""
        with self.lock:
            self._drops += 1
            for key in [*self._tickets]:
                self.change(key)
            self.flights.clear()

    def _cell(self, tag: str) -> Cell:
        cell = self._cells.get(tag)
        if cell is None:
            cell = self._cells[tag] = Cell()
        return cell
