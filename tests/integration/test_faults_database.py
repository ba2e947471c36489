"""Whole runs on a PostgreSQL that fails: imports, projections, and an index whose history is kept there.

Each statement and each connection by itself is in `test_database_faults.py`. Here the run after the fault has to converge:
streams without a gap, no event twice, and read models as if they were built anew.
"""

import threading
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from pipelines_persistence.adapters.sql import event_import
from pipelines_persistence.configuration import (
    BreakerConfig,
    EmbeddingConfig,
    IndexConfig,
    ResilienceConfig,
    RetryConfig,
    SourceConfig,
)
from pipelines_persistence.configuration.resilience import DatabaseConfig
from pipelines_persistence.errors import DatabaseUnavailable, StorageError
from pipelines_persistence.events import NewEvent
from pipelines_persistence.platform import Platform
from pipelines_persistence.projections.ports import live_build
from pipelines_persistence.resilience import Guards
from pipelines_persistence.settings import Settings
from tests.tcp_proxy import tcp_proxy

EVENTS, BATCH = 240, 40


class Bench:
    """A log in PostgreSQL, behind a proxy."""

    def __init__(self, root, url, proxy):
        self.root, self.proxy = root, proxy
        self.url = sa.make_url(url)
        self.behind = self.url.set(port=proxy.port, password="hush-hush")
        self.pairs = [
            (f"order-{n % 7}", NewEvent("Placed" if n % 3 else "Paid", b'{"n": %d}' % n))
            for n in range(EVENTS)
        ]

    @contextmanager
    def platform(self, *, attempts=4, sleep=lambda _seconds: time.sleep(0.02), timeout=60.0):
        database = DatabaseConfig(
            retry=RetryConfig(attempts=attempts, wait=0.01, longest=0.05),
            breaker=BreakerConfig(minimum=1000),
        )
        # The guards are ours, for their sleep; the deadlines of connections are those of the file.
        (self.root / "pipelines.yaml").write_text(
            f"events: {{}}\nresilience: {{database: {{timeout: {timeout}}}}}\n"
        )
        settings = Settings(
            home=self.root / "home",
            config=self.root / "pipelines.yaml",
            database_url=self.behind.render_as_string(hide_password=False),
        )
        with Platform(settings, guards=Guards(ResilienceConfig(database=database), sleep=sleep)) as platform:
            yield platform

    def pairs_and(self, at, act):
        """Yield the events to import, and do something on the way."""
        for number, pair in enumerate(self.pairs):
            if number == at:
                act()
            yield pair

    def admin(self, *statements, database=None):
        """Carry statements out beside the proxy."""
        url = self.url.set(database=database) if database else self.url
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    def recovered(self):
        """Import what is left: everything is there, once, and in its order."""
        with self.platform() as platform:
            result = platform.events.import_events(self.pairs)
            assert result.appended + result.duplicates == EVENTS
            found = [event.id for event in platform.events.read_all()]
            assert (len(found), set(found)) == (EVENTS, {event.id for _, event in self.pairs})
            for stream in {stream for stream, _ in self.pairs}:
                events = [*platform.events.read(stream)]
                assert [event.version for event in events] == list(range(1, len(events) + 1))
                assert [event.id for event in events] == [e.id for name, e in self.pairs if name == stream]
        return result


@pytest.fixture
def bench(tmp_path, postgres_url, monkeypatch):
    monkeypatch.setattr(event_import, "_MOST_EVENTS", BATCH)
    url = sa.make_url(postgres_url)
    with tcp_proxy(url.host, url.port) as proxy:
        yield Bench(tmp_path, postgres_url, proxy)


# Imports


def test_an_import_that_loses_its_server_on_the_way_goes_on_when_it_is_back(bench):
    with bench.platform() as platform, pytest.raises(DatabaseUnavailable, match="PIPELINES_DATABASE_URL"):
        platform.events.import_events(bench.pairs_and(2 * BATCH + 1, bench.proxy.refuse))
    bench.proxy.resume()
    assert bench.recovered().duplicates == 2 * BATCH


def test_an_import_over_a_connection_that_falls_silent_is_given_up_and_goes_on_later(bench):
    with bench.platform(attempts=1, timeout=0.2) as platform:
        platform.events.head()
        with pytest.raises(DatabaseUnavailable, match="no answer within"):
            platform.events.import_events(bench.pairs_and(BATCH + 1, bench.proxy.hang))
    bench.proxy.resume()
    assert bench.recovered().duplicates == BATCH


def test_an_import_whose_commit_is_not_acknowledged_doubles_nothing(bench):
    lose = lambda: bench.proxy.lose_answer_to(b"COMMIT\0")  # noqa: E731 - an argument with an argument
    with bench.platform() as platform, pytest.raises(DatabaseUnavailable, match="safe to repeat"):
        platform.events.import_events(bench.pairs_and(BATCH + 1, lose))
    assert bench.recovered().duplicates == 2 * BATCH  # what was not acknowledged stands


def test_an_import_that_a_full_disk_ends_leaves_whole_batches_and_goes_on_when_there_is_room(bench):
    with bench.platform() as platform:
        platform.events.head()
        bench.admin(
            "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.version > 20 THEN RAISE EXCEPTION 'could not extend file: No space left on device' "
            "USING ERRCODE = '53100'; END IF; RETURN NEW; END $$",
            "CREATE TRIGGER fill BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fill()",
        )
        with pytest.raises(StorageError, match=r"No space left on device.*check free space"):
            platform.events.import_events(bench.pairs)
        stands = sum(1 for _ in platform.events.read_all())
        assert (stands > 0, stands % BATCH, stands < EVENTS) == (True, 0, True)
    bench.admin("DROP TRIGGER fill ON events")
    assert bench.recovered().duplicates == stands


def test_too_many_connections_is_tried_again_until_there_is_one(bench):
    name, waits = bench.url.database, []

    def make_room(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            bench.admin(f"ALTER DATABASE {name} CONNECTION LIMIT -1", database="postgres")

    bench.admin(f"ALTER DATABASE {name} CONNECTION LIMIT 0", database="postgres")
    with bench.platform(sleep=make_room) as platform:
        platform.events.import_events(bench.pairs)
        assert "too many connections" in platform.guards["database"].state().last_error
    assert len(waits) == 2
    bench.recovered()


# Projections


def rows(platform, name):
    build = live_build(platform.eventing.models, name)
    table = platform.eventing.projection(name).projection.tables[0]
    return sorted(map(repr, platform.eventing.models.rows(build, table)))


def project(platform, name, **options):
    return platform.eventing.runner.run(platform.eventing.projection(name).projection, **options)


@pytest.mark.parametrize("name", ["event_type_counts", "stream_summary"])
@pytest.mark.parametrize("fault", ["refused", "lost"])
def test_a_projection_that_loses_its_server_counts_no_event_twice(bench, monkeypatch, name, fault):
    with bench.platform() as platform:
        platform.events.import_events(bench.pairs[:BATCH])
        project(platform, name)
        platform.events.import_events(bench.pairs)
        projection = platform.eventing.projection(name).projection
        monkeypatch.setattr(type(projection), "batch_size", 50, raising=False)
        batches = []

        def trouble(_progress):
            batches.append(1)
            if len(batches) == 2:
                bench.proxy.refuse() if fault == "refused" else bench.proxy.lose_answer_to(b"COMMIT\0")

        with pytest.raises(DatabaseUnavailable):
            project(platform, name, notify=trouble)
        assert len(batches) >= 2
    bench.proxy.resume()
    with bench.platform() as platform:
        project(platform, name)
        found = rows(platform, name)
        assert project(platform, name).events == 0
        project(platform, name, rebuild=True)
        assert found == rows(platform, name)
        assert len(found) > 1


# An index, whose history is in the log


@pytest.fixture
def index(bench):
    (bench.root / "docs").mkdir()
    for number in range(6):
        (bench.root / "docs" / f"{number}.md").write_text(
            f"# Pump {number}\n\nPump {number} is cleaned on Mondays."
        )
    return IndexConfig(
        sources=(SourceConfig(name="docs", uri=str(bench.root / "docs")),),
        embedding=EmbeddingConfig(backend="hash"),
    )


def test_a_run_whose_history_cannot_be_written_does_not_begin_and_searches_go_on(bench, index):
    with bench.platform() as platform:
        platform.engine("docs", index).ingest()
    (bench.root / "docs" / "new.md").write_text("# New\n\nSomething new.")
    bench.proxy.refuse()
    with bench.platform() as platform:
        with pytest.raises(DatabaseUnavailable):
            platform.engine("docs", index).ingest()
        assert len(platform.searcher.search("which pump?", "docs", limit=10)) == 6
    bench.proxy.resume()
    with bench.platform() as platform:
        assert platform.engine("docs", index).ingest().embedded == 1


def test_a_run_that_loses_its_history_goes_on_and_says_so(bench, index, caplog):
    def cut(_report):
        bench.proxy.refuse()

    with bench.platform() as platform:
        report = platform.engine("docs", index).ingest(cut)
        assert (report.embedded, report.failures) == (6, [])
        assert platform.store.count("docs") == 6
    assert "it is not recorded as events" in caplog.text or "is not recorded as an event" in caplog.text
    bench.proxy.resume()
    with bench.platform() as platform:
        assert (
            platform.engine("docs", index).ingest().embedded == 0
        )  # and settles what the first could not tell
        streams = {}
        for event in platform.events.read_all():
            streams.setdefault(event.stream, []).append(event)
    assert len(streams) == 2
    for events in streams.values():
        assert [event.version for event in events] == list(range(1, len(events) + 1))
        assert b"Completed" in events[-1].data or b"completed" in events[-1].data


def test_flapping_under_an_import_is_not_noticed(bench):
    stop = threading.Event()

    def flap():
        while not stop.wait(0.03):
            bench.proxy.drop()

    flapper = threading.Thread(target=flap)
    flapper.start()
    with bench.platform(attempts=50) as platform:
        while True:  # a commit whose answer is lost is the caller's to repeat: ids tell
            try:
                platform.events.import_events(bench.pairs)
            except DatabaseUnavailable:
                continue
            break
    stop.set()
    flapper.join()
    assert bench.recovered().appended == 0
