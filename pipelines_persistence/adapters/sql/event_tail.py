"""Walks of the log, page by page, and the wait at its end."""

import threading
import time
from collections.abc import Generator, Iterator

from pipelines_persistence.adapters.sql.event_rows import Backend, Filter, Waiter
from pipelines_persistence.adapters.sql.event_transactions import UnitOfWork
from pipelines_persistence.events import Batch, Cursor

_SOON = 0.01  # seconds to the first look after news
_SLICE = 0.05  # seconds that a wait on the network may delay a stop


class Tail:
    """Reads a log in batches."""

    def __init__(self, work: UnitOfWork, backend: Backend) -> None:
        """Take what reads, and the database's dialect."""
        self._work = work
        self._backend = backend

    def batches(self, wanted: Filter) -> Generator[Batch, None, Cursor]:
        """Walk to the end; the generator's result is how far the log was searched."""
        while True:
            batch, is_last = self._page(wanted)
            wanted = wanted._replace(after=batch.cursor)
            if batch.events:
                yield batch
            if is_last:
                return batch.cursor

    def backwards(self, wanted: Filter) -> Iterator[Batch]:
        """Walk from the end to the beginning."""
        while True:
            batch, is_last = self._page(wanted)
            if batch.events:
                yield batch
            if is_last:
                return
            first = batch.events[-1].cursor
            wanted = wanted._replace(until=Cursor(first.epoch, first.transaction, first.position - 1))

    def subscribe(self, wanted: Filter, stop: threading.Event, poll: float) -> Iterator[Batch]:
        """Walk, and wait for more until `stop` is set; see `EventStore.subscribe`."""
        waiter, pause = self._waiter(), _SOON
        try:
            while not stop.is_set():
                batch, is_last = self._page(wanted)
                wanted = wanted._replace(after=batch.cursor)
                if batch.events:
                    yield batch
                    pause = _SOON
                if is_last:
                    # An announcement may come a moment before its events are shown: so look again soon, then less often.
                    has_news = self._wait(waiter, pause, stop)
                    pause = _SOON if has_news else min(poll, pause * 2)
        finally:
            if waiter:
                waiter.close()

    def _page(self, wanted: Filter) -> tuple[Batch, bool]:
        """Return a page, and whether it was the last. A page that is not full says how far the search went."""
        events, searched = self._work.read(lambda connection: self._backend.page(connection, wanted))
        is_last = len(events) < wanted.limit
        return Batch(events, max(wanted.after, searched) if is_last else events[-1].cursor), is_last

    def _waiter(self) -> Waiter | None:
        with self._work.errors():
            return self._backend.waiter()

    def _wait(self, waiter: Waiter | None, seconds: float, stop: threading.Event) -> bool:
        """Return whether there is news, as soon as there is, or no later than a moment after the order to stop."""
        if waiter is None:
            stop.wait(seconds)
            return False
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not stop.is_set():
            with self._work.errors():
                if waiter.wait(min(left, _SLICE)):
                    return True
        return False
