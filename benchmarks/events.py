"""The event store against the bare driver and against `eventsourcing`, on SQLite and PostgreSQL.

All work on the same events, encoded beforehand, in a database of their own, with the same durability: see `settings`.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path

from benchmarks import event_writers
from benchmarks.event_peer import Peer
from benchmarks.event_raw import RawPostgres, RawSqlite
from benchmarks.event_sides import Batch, Ours, Side, batches, reasoning, step
from benchmarks.measure import Figure, compare, itself, prepared
from benchmarks.servers import create_database, postgres_programs, running_postgres

# Checkpoints would fall into some rounds and not into others.
_SERVER = {"fsync": "on", "synchronous_commit": "on", "max_wal_size": "4GB", "checkpoint_timeout": "1h"}
_LOADED = 100_000
_READ = 20_000

MakeUrl = Callable[[], str]


def settings() -> list[str]:
    """Return what the figures depend on."""
    return [
        f"SQLite {sqlite3.sqlite_version}: all sides in WAL with synchronous=FULL",
        f"PostgreSQL: one server for all sides, {', '.join(f'{key}={value}' for key, value in _SERVER.items())}",
        f"psycopg {version('psycopg')}, SQLAlchemy {version('sqlalchemy')}, eventsourcing {version('eventsourcing')}",
    ]


def figures() -> Iterator[Figure]:
    """Compare on SQLite, and on PostgreSQL where it is installed."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        yield from _on("SQLite", RawSqlite, lambda: f"sqlite:///{Path(folder) / f'{next(numbers)}.sqlite'}")
    if postgres_programs():
        with running_postgres(**_SERVER) as server:
            numbers = count()
            make_url = lambda: create_database(server, f"bench_{next(numbers)}")  # noqa: E731 - as above
            yield from _on("PostgreSQL", RawPostgres, make_url)
            yield event_writers.figure(make_url)


def _on(database: str, raw: Callable[[str], Side], make_url: MakeUrl) -> Iterator[Figure]:
    hundred = partial(batches, 100, 100, 10)
    single = partial(batches, 300, 1, 10)
    bulk = partial(batches, _LOADED // 20, 20, 1)
    short = partial(batches, _LOADED // 5, 5, 1)
    for name, theirs in (
        (f"raw {'sqlite3' if raw is RawSqlite else 'psycopg'}", raw),
        ("eventsourcing", Peer),
    ):
        is_raw = theirs is raw
        with _sides(make_url, Ours, theirs) as sides:
            yield _writing(f"{database}: append, 100 a transaction", name, sides, hundred, 0.6 * is_raw)
            yield _writing(f"{database}: append, 1 a transaction", name, sides, single)
        with _sides(make_url, Ours, theirs) as sides:
            yield _loading(f"{database}: bulk import, 20 events a stream", name, sides, bulk, 0.7 * is_raw)
        with _sides(make_url, Ours, theirs) as sides:
            yield _loading(f"{database}: bulk import, 5 events a stream", name, sides, short)
        with _sides(make_url, Ours, theirs) as sides:
            yield from _readings(database, name, sides, 0.0 if is_raw else 3.0)
    with _sides(make_url, Ours, partial(Peer, is_struct=True)) as sides:
        yield from _readings(database, "eventsourcing with msgspec", sides)


@contextmanager
def _sides(make_url: MakeUrl, *kinds: Callable[[str], Side]) -> Iterator[list[Side]]:
    """Open each kind with a database of its own."""
    with ExitStack() as exits:
        sides = [kind(make_url()) for kind in kinds]
        for side in sides:
            exits.callback(side.close)
        yield sides


def _writing(
    name: str, theirs: str, sides: list[Side], make: Callable[[], list[Batch]], floor: float = 0.0
) -> Figure:
    works = [prepared(lambda side=side: side.prepare(make()), side.append) for side in sides]
    return _compared(name, theirs, works, _size(make()), floor, rounds=9)


def _loading(
    name: str, theirs: str, sides: list[Side], make: Callable[[], list[Batch]], floor: float = 0.0
) -> Figure:
    works = [prepared(lambda side=side: side.prepare(make()), side.load) for side in sides]
    return _compared(name, theirs, works, _size(make()), floor, rounds=7)


def _readings(database: str, theirs: str, sides: list[Side], floor: float = 0.0) -> Iterator[Figure]:
    for kind, make, least in (("ReasoningStep", reasoning, floor), ("flat event", step, 0.0)):
        stream = batches(1, _READ, 1, make)
        for side in sides:
            side.load(side.prepare(stream))
        works = [prepared(lambda name=stream[0].stream: name, side.read) for side in sides]
        yield _compared(f"{database}: typed read, {kind}", theirs, works, _READ, least, rounds=9)


def _compared(
    name: str, theirs: str, works: Sequence[Callable[[], float]], amount: int, floor: float, *, rounds: int
) -> Figure:
    return compare(
        f"{name}, ours : {theirs}",
        *works,
        amount=amount,
        unit="events",
        rounds=rounds,
        floor=floor,
        timed=itself,
    )


def _size(made: list[Batch]) -> int:
    return sum(len(batch.events) for batch in made)
