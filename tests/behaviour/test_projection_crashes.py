"""A projection worker that is killed at random moments, again and again: the read model equals a clean replay."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.read_models import SqlReadModels
from pipelines_persistence.events import NewEvent
from pipelines_persistence.projections import ProjectionRunner

sys.path.insert(0, str(Path(__file__).parent))
from projecting import Counts

WORKER = Path(__file__).with_name("projecting.py")
KILLS = 50


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def world(url):
    engine = open_database(url)
    yield SqlEventStore(engine), SqlReadModels(engine)
    engine.dispose()


def fill(store, chance, events):
    store.import_events((f"s-{chance.randrange(30)}", NewEvent("Counted")) for _ in range(events))


def expected(store):
    counts = {}
    for event in store.read_all():
        events, versions = counts.get(event.stream, (0, 0))
        counts[event.stream] = (events + 1, versions + event.version)
    return counts


def held(models):
    build = models.live("counts")
    return {row.stream: (row.events, row.versions) for row in models.rows(build, Counts.tables[0])}


def start(url, how):
    return subprocess.Popen([sys.executable, WORKER, url, how], stdout=subprocess.PIPE, text=True)


def kill_after(worker, lines):
    """Kill a worker when it has worked in some batches and is in the middle of another; True if it was alive."""
    for _ in range(lines):
        if not worker.stdout.readline():
            break
    threading.Event().wait(random.uniform(0, 0.004))
    alive = worker.poll() is None
    worker.kill()
    worker.communicate()
    return alive


def test_a_worker_killed_fifty_times_works_each_event_in_exactly_once(url, world):
    store, models = world
    chance = random.Random(1)
    killed = 0
    rounds = 0
    while killed < KILLS and rounds < 3 * KILLS:
        rounds += 1
        # Two at a time: they compete for the same checkpoint.
        fill(store, chance, 400)
        workers = [start(url, "run"), start(url, "run")]
        for worker in workers:
            killed += kill_after(worker, chance.randrange(1, 12))
    assert killed >= KILLS
    ProjectionRunner(store, models).run(Counts())
    assert held(models) == expected(store)


def test_a_rebuild_killed_again_and_again_never_shows_a_reader_a_part_of_it(url, world):
    store, models = world
    chance = random.Random(2)
    fill(store, chance, 3000)
    runner = ProjectionRunner(store, models)
    runner.run(Counts())
    whole = expected(store)
    first = models.live("counts").id
    wrong, seen, stop = [], set(), threading.Event()

    def read():
        engine = open_database(url)
        while not stop.is_set():
            with engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
                rows = connection.execute(sa.text("SELECT stream, events, versions FROM counts")).all()
            seen.add(len(rows))
            if {row[0]: (row[1], row[2]) for row in rows} != whole:
                wrong.append(len(rows))
        engine.dispose()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(12):
            kill_after(start(url, "rebuild"), chance.randrange(1, 10))
        start(url, "rebuild").communicate()
        start(url, "rebuild").communicate()
    finally:
        stop.set()
        reader.join()
    assert not wrong
    assert seen == {30}
    assert models.live("counts").id > first
    assert held(models) == whole
