"""Projections: the runner against the floor (a bare driver, 500 events a transaction) and against `eventsourcing`.

All sides count events, from the beginning of their log, and keep their checkpoint in the transaction of their counts. The
runner takes its default of 2,000 events a transaction. On SQLite all run in WAL with synchronous=FULL, on PostgreSQL against one server with synchronous_commit=on.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from benchmarks.counting_peer import PeerLog
from benchmarks.measure import Figure, compare
from benchmarks.servers import create_database, postgres_programs, running_postgres
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_rows import COLUMNS
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.read_models import SqlReadModels
from pipelines_persistence.events import NewEvent
from pipelines_persistence.projections import ProjectionRunner
from pipelines_persistence.projections.shipped import EventTypeCounts, StreamSummary

EVENTS = 100_000
PEER_EVENTS = 1_000
_STEP = 500
_TYPES = 10
_STREAMS = 3_000


def figures() -> Iterator[Figure]:
    """Compare on SQLite, and on PostgreSQL where it is installed."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _on(
            "SQLite",
            f"sqlite:///{folder}/log.sqlite",
            {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": f"{folder}/peer.sqlite"},
        )
    if postgres_programs():
        with running_postgres(shared_buffers="128MB") as server:
            yield from _on(
                "PostgreSQL",
                create_database(server, "log"),
                _peer_environment(create_database(server, "peer")),
            )


def _on(database: str, url: str, peer: dict[str, str]) -> Iterator[Figure]:
    with ExitStack() as exits:
        engine = open_database(url)
        exits.callback(engine.dispose)
        store = SqlEventStore(engine)
        store.import_events(
            (f"stream-{number % _STREAMS}", NewEvent(f"Type{number % _TYPES}", b'{"number": 7}'))
            for number in range(EVENTS)
        )
        runner = ProjectionRunner(store, SqlReadModels(engine))
        floor = _floor(engine)
        yield compare(
            f"{database}: counts by type, runner : bare driver, 500 a transaction",
            lambda: runner.run(EventTypeCounts(), rebuild=True),
            floor,
            amount=EVENTS,
            unit="events",
            floor=0.5,
        )
        log = PeerLog(peer, PEER_EVENTS)
        exits.callback(log.close)
        each = compare(
            "",
            lambda: runner.run(EventTypeCounts(), rebuild=True),
            log.project,
            amount=EVENTS,
            unit="events",
            rounds=3,
        )
        share = EVENTS / PEER_EVENTS  # the peer works through fewer, for it takes its time
        yield Figure(
            f"{database}: counts by type, runner : eventsourcing, per event",
            each.median * share,
            each.low * share,
            each.high * share,
            each.rate,
            each.unit,
            floor=10.0,
        )
        yield compare(
            f"{database}: a row for each stream, runner : bare driver, an upsert an event, 500 a transaction",
            lambda: runner.run(StreamSummary(), rebuild=True),
            _floor(engine, by_stream=True),
            amount=EVENTS,
            unit="events",
            rounds=3,
        )


def _floor(engine: Any, *, by_stream: bool = False) -> Callable[[], object]:
    """Return the least that any projection of this log must do: read, count, write counts and checkpoint.

    With `by_stream` every event is an upsert of the row of its stream, which the database adds up.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    mark = "?" if is_sqlite else "%s"
    read = f"SELECT position, type, {COLUMNS} FROM events WHERE position > {mark} ORDER BY position LIMIT {_STEP}"
    write = (
        f"INSERT INTO floor_counts (type, events) VALUES ({mark}, {mark}) "
        "ON CONFLICT (type) DO UPDATE SET events = floor_counts.events + excluded.events"
    )

    def run() -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            driver: Any = connection.connection.driver_connection
            cursor = driver.cursor()
            begin = "BEGIN IMMEDIATE" if is_sqlite else "BEGIN"
            cursor.execute(begin)
            cursor.execute("DROP TABLE IF EXISTS floor_counts")
            cursor.execute("DROP TABLE IF EXISTS floor_checkpoint")
            cursor.execute("CREATE TABLE floor_counts (type TEXT PRIMARY KEY, events BIGINT)")
            cursor.execute("CREATE TABLE floor_checkpoint (id INT PRIMARY KEY, position BIGINT)")
            cursor.execute("INSERT INTO floor_checkpoint VALUES (1, 0)")
            cursor.execute("COMMIT")
            position = 0
            while True:
                cursor.execute(begin)
                rows = cursor.execute(read, (position,)).fetchall()
                if rows:
                    counts = (
                        [(row[2], 1) for row in rows]
                        if by_stream
                        else Counter(row[1] for row in rows).items()
                    )
                    cursor.executemany(write, list(counts))
                    position = rows[-1][0]
                    cursor.execute(f"UPDATE floor_checkpoint SET position = {mark} WHERE id = 1", (position,))
                cursor.execute("COMMIT")
                if len(rows) < _STEP:
                    break

    return run


def _peer_environment(url: str) -> dict[str, str]:
    from sqlalchemy import make_url

    parsed = make_url(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parsed.database or "",
        "POSTGRES_HOST": parsed.host or "",
        "POSTGRES_PORT": str(parsed.port),
        "POSTGRES_USER": parsed.username or "",
        "POSTGRES_PASSWORD": "",
    }
