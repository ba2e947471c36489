"""A database that comes back from a backup: what was cached of the time that is gone is served to nobody."""

import shutil
from contextlib import contextmanager
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa

from pipelines_persistence.adapters.caching import open_cache
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.read_models import SqlReadModels
from pipelines_persistence.configuration import CacheConfig
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.projections import Projection, ProjectionRunner, Table, on
from pipelines_persistence.projections.cached import LiveReader


class Receipt(msgspec.Struct):
    stream: str


class Receipts(Projection):
    name = "receipts"
    tables = (Table(Receipt, key=["stream"]),)

    @on("Filed")
    def filed(self, event, models):
        models[Receipt].put(Receipt(event.stream))


class SqliteFile:
    def __init__(self, url):
        self.url = url
        self._path = url.removeprefix("sqlite:///")

    def back_up(self):
        shutil.copy(self._path, f"{self._path}.backup")

    def restore(self):
        shutil.copy(f"{self._path}.backup", self._path)


class PostgresDatabase:
    """Copied within its server, which so is the same as before: no new epoch of the log tells of it."""

    def __init__(self, url):
        self.url = url
        self._name = sa.make_url(url).database

    def back_up(self):
        self._run(f"CREATE DATABASE {self._name}_backup TEMPLATE {self._name}")

    def restore(self):
        self._run(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._run(f"CREATE DATABASE {self._name} TEMPLATE {self._name}_backup")
        self._run(f"DROP DATABASE {self._name}_backup")

    def _run(self, statement):
        url = sa.make_url(self.url).set(database="postgres")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)


class Desk:
    """Each step is a process of its own, with one shared cache behind all of them."""

    def __init__(self, database, cache_url, folder):
        self.database = database
        self._cache_url = cache_url
        self._folder = folder
        self._config = CacheConfig(backend="redis", prefix=f"{uuid4()}:", timeout=5.0)

    @contextmanager
    def process(self):
        engine = open_database(self.database.url)
        cache = open_cache(self._config, self._folder, self._cache_url)
        try:
            yield SqlEventStore(engine), SqlReadModels(engine), cache
        finally:
            cache.close()
            engine.dispose()

    def load(self, stream):
        with self.process() as (store, models, _):
            store.append(stream, [NewEvent("Filed")], Expected.ANY)
            ProjectionRunner(store, models).run(Receipts())

    def show(self):
        """Return what is shown, and whether it came from the shared cache."""
        with self.process() as (_, models, cache):
            page = LiveReader(models, "receipts", Receipts.tables[0], cache).find()
            hits = cache.state().namespaces["read-receipts"].shared_hits
            return [row.stream for row in page.items], hits == 1


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request, redis_url, tmp_path):
    kind = {"sqlite": SqliteFile, "postgres": PostgresDatabase}[request.param]
    return Desk(kind(request.getfixturevalue(f"{request.param}_url")), redis_url, tmp_path)


def test_after_a_restore_the_cache_shows_what_was_restored_and_what_came_then(desk):
    desk.load("r1")
    desk.database.back_up()
    assert [desk.show(), desk.show()] == [(["r1"], False), (["r1"], True)]
    desk.load("r2")
    assert [desk.show(), desk.show()] == [(["r1", "r2"], False), (["r1", "r2"], True)]
    desk.database.restore()
    assert desk.show() == (["r1"], True)  # the answer of before, to the very same content
    desk.load("r3")
    assert [desk.show(), desk.show()] == [(["r1", "r3"], False), (["r1", "r3"], True)]
