"""Six writers and a tail on PostgreSQL: what the fence costs, and what it is for.

The naive log is the same store without the fence: its rows are in the order of a sequence, and a reader goes on after the
last number that it has seen. What that reader misses, it really misses.
"""

import multiprocessing
import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self

import sqlalchemy as sa

from benchmarks.measure import Figure
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_pages import sqlite_page
from pipelines_persistence.adapters.sql.event_postgres import PostgresBackend
from pipelines_persistence.adapters.sql.event_rows import Filter, Head, Opening
from pipelines_persistence.adapters.sql.event_sqlite import stored
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.event_tail import Tail
from pipelines_persistence.events import Append, Cursor, Expected, NewEvent, StoredEvent

WRITERS = 6
PER_TRANSACTION = 10
# Events of a transaction: for a stream of the writer's own, and for one that all write to.
_OWN, _SHARED = 6, 4
_OWN_STREAMS, _SHARED_STREAMS = 10, 300
# Seconds without news after which a tail has seen what it will see, by whether it is naive.
_PATIENCE = {True: 0.5, False: 30.0}

_OPEN = """
SELECT 1, 0, ARRAY(SELECT nextval('events_position_seq') FROM generate_series(1, %s)),
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  (SELECT json_agg(json_build_array(wanted.stream, version, type, recorded_at))
   FROM unnest(%s::text[]) AS wanted(stream) CROSS JOIN LATERAL (
     SELECT version, type, recorded_at FROM events WHERE events.stream = wanted.stream COLLATE "C"
     ORDER BY version DESC LIMIT 1) AS head)
"""


class NaiveBackend(PostgresBackend):
    """PostgreSQL without transaction ids: the position is all there is."""

    def open(self, connection: sa.Connection, streams: Sequence[str], count: int) -> Opening:
        """See `Backend`."""
        driver: Any = connection.connection.driver_connection
        *stamp, heads = driver.execute(_OPEN, (count, list(streams))).fetchone()
        return Opening(*stamp, {head[0]: Head(*head[1:]) for head in heads or ()})

    def page(self, connection: sa.Connection, wanted: Filter) -> tuple[list[StoredEvent], Cursor]:
        """See `Backend`; what has been seen is where the search ended."""
        driver: Any = connection.connection.driver_connection
        query, parameters = sqlite_page(wanted)  # where the position is the order of commits
        query = query.replace("?", "%s").replace(" id,", " id::text,")
        events = stored(driver.execute(query, parameters).fetchall())
        return events, events[-1].cursor if events else wanted.after


class NaiveStore(SqlEventStore):
    """The store on that."""

    def __init__(self, engine: sa.Engine) -> None:
        """Take the engine; its table needs no order but that of its key."""
        super().__init__(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP INDEX IF EXISTS ix_events_log")
        self._backend = NaiveBackend(engine)
        self._tail = Tail(self._work, self._backend)


class Run(NamedTuple):
    """What became of one run.

    Attributes:
        seconds: from the first append of any writer to the last.
        written: the ids that were appended, with success.
        seen: by the tail, in its order.
    """

    seconds: float
    written: list[str]
    seen: list[StoredEvent]


class Writers(AbstractContextManager["Writers"]):
    """Processes that write when they are told to."""

    def __enter__(self) -> Self:
        """Start them."""
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe() for _ in range(WRITERS)]
        self._pipes = [ours for ours, _ in pipes]
        self._processes = [context.Process(target=_serve, args=(theirs,), daemon=True) for _, theirs in pipes]
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send them home."""
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join()

    def run(self, kind: type[SqlEventStore], url: str, transactions: int) -> Run:
        """Have each write so many transactions to a log, while a tail follows it."""
        for number, pipe in enumerate(self._pipes):
            pipe.send((kind, url, number, transactions))
        store, seen, stop = kind(open_database(url)), [], threading.Event()
        tail = threading.Thread(target=_follow, args=(store, store.head(), seen, stop))
        tail.start()
        try:
            for pipe in self._pipes:
                pipe.recv()
            for pipe in self._pipes:
                pipe.send("go")
            done = [pipe.recv() for pipe in self._pipes]
            _wait_for(seen, WRITERS * transactions * PER_TRANSACTION, _PATIENCE[kind is NaiveStore])
        finally:
            stop.set()
            tail.join()
            store.close()
        seconds = max(end for _, end, _ in done) - min(start for start, _, _ in done)
        return Run(seconds, [id_ for *_, ids in done for id_ in ids], seen)


def figure(make_url: Callable[[], str], transactions: int = 300, rounds: int = 7) -> Figure:
    """Compare the throughput of the writers with and without the fence, run by run."""
    fenced, naive = make_url(), make_url()
    runs = []
    with Writers() as writers:
        for _ in range(rounds + 1):
            pair = [(SqlEventStore, fenced), (NaiveStore, naive)]
            runs.append([writers.run(kind, url, transactions) for kind, url in pair])
    ratios = [theirs.seconds / ours.seconds for ours, theirs in runs[1:]]
    missed = [1 - len(theirs.seen) / len(theirs.written) for _, theirs in runs]
    assert all(len(ours.seen) == len(ours.written) for ours, _ in runs)
    best = statistics.median(ours.seconds for ours, _ in runs[1:])
    return Figure(
        f"PostgreSQL: 6 writers and a tail, fenced : naive (which missed {statistics.mean(missed):.1%})",
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        WRITERS * transactions * PER_TRANSACTION / best,
        "events",
        floor=0.8,
    )


def _serve(pipe: Connection) -> None:
    while task := pipe.recv():
        kind, url, number, transactions = task
        store = kind(open_database(url))
        store.version("none")  # connects
        pipe.send("ready")
        pipe.recv()
        start = time.monotonic()
        ids = _write(store, number, transactions)
        pipe.send((start, time.monotonic(), ids))
        store.close()


def _write(store: SqlEventStore, number: int, transactions: int) -> list[str]:
    ids, dice = [], random.Random(number)
    for step in range(transactions):
        own = [NewEvent("StepDone", _DATA) for _ in range(_OWN)]
        shared = [NewEvent("StepDone", _DATA) for _ in range(_SHARED)]
        store.append_many(
            [
                Append(f"own-{number}-{step % _OWN_STREAMS}", own, Expected.ANY),
                Append(f"shared-{dice.randrange(_SHARED_STREAMS)}", shared, Expected.ANY),
            ]
        )
        ids += [event.id for event in own + shared]
    return ids


def _follow(store: SqlEventStore, after: Cursor, seen: list[StoredEvent], stop: threading.Event) -> None:
    for batch in store.subscribe(after, stop=stop, poll=0.05):
        seen.extend(batch.events)


def _wait_for(seen: list[StoredEvent], count: int, patience: float) -> None:
    last, since = -1, time.monotonic()
    while len(seen) < count and time.monotonic() - since < patience:
        if len(seen) > last:
            last, since = len(seen), time.monotonic()
        time.sleep(0.01)


_DATA = b'{"activity": "Check stock", "resource": "Resource 7", "seconds": 1234}'
