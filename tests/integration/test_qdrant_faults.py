"""Everything that goes wrong with a Qdrant server while documents are ingested, over the wire double.

For each fault: what the user sees, that a run after it puts all right, and that nothing was lost or doubled: ledger and store
are compared point by point, and what is stored is compared with an index that met no fault.
"""

import time
from contextlib import closing, contextmanager

import pytest

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.configuration import (
    BreakerConfig,
    ChunkingConfig,
    DependencyConfig,
    EmbeddingConfig,
    IndexConfig,
    RetryConfig,
    SourceConfig,
)
from pipelines_persistence.errors import CircuitOpen, StorageError, StoreError, StoreUnavailable
from pipelines_persistence.platform import Platform
from pipelines_persistence.resilience import Guard
from pipelines_persistence.settings import Settings
from tests.wire_double import Fault, Proxy, WireDouble
from tests.wire_double.faults import FULL_DISK

PARAGRAPH = (
    "The {word} valve of pump {n} is opened by hand before the {word} pressure is read from gauge {n}."
)


UNDISTURBED = {}
"""By the documents: it takes a while, and is the same for most tests."""


class Hooked:
    """A guard that does something before a certain call to the server."""

    def __init__(self, guard, number, act):
        self.guard, self.number, self.act, self.calls = guard, number, act, 0

    def call(self, work):
        self.calls += 1
        if self.calls == self.number:
            self.act()
        return self.guard.call(work)


class Bench:
    """A folder of documents, a ledger, and a server that fails."""

    def __init__(self, root):
        self.root = root
        self.double = WireDouble(root / "server")
        self.slept = []
        self.config = IndexConfig(
            sources=(SourceConfig(name="docs", uri=str(root / "docs")),),
            embedding=EmbeddingConfig(backend="hash"),
            chunking=ChunkingConfig(tokens=64),
        )
        (root / "pipelines.yaml").write_text("events: {}\n")
        (root / "docs").mkdir()
        for number in range(7):
            paragraphs = [PARAGRAPH.format(n=number * 100 + n, word=f"w{number}x{n}") for n in range(8)]
            (root / "docs" / f"{number}.md").write_text(f"# Pump {number}\n\n" + "\n\n".join(paragraphs))

    def guard(self, *, sleep=None, attempts=4, **breaker):
        config = DependencyConfig(
            retry=RetryConfig(attempts=attempts, wait=0.2, longest=0.5), breaker=BreakerConfig(**breaker)
        )
        return Guard("vector_store", config, sleep=sleep or self.slept.append)

    def store(self, guard=None, **options):
        options = {"url": self.double.url, "timeout": 5.0, "batch": 4, "streams": 2} | options
        return closing(QdrantServerStore(options.pop("url"), guard=guard, **options))

    @contextmanager
    def engine(self, store, home="home"):
        settings = Settings(home=self.root / home, config=self.root / "pipelines.yaml")
        with Platform(settings, store=store) as platform:
            yield platform, platform.engine("docs", self.config)

    def ingest(self, guard=None, **options):
        with self.store(guard, **options) as store, self.engine(store) as (_, engine):
            return engine.ingest()

    def audit(self):
        """Compare ledger and store both ways, and the store with one that met no fault."""
        with self.store() as store, self.engine(store) as (platform, engine):
            generation = platform.ledger.live("docs")
            assert store.aliases() == {"docs": generation.collection}
            chunks = [
                chunk
                for record in platform.ledger.documents(generation)
                for chunk in platform.ledger.chunks(record.id)
            ]
            stored = {point.id: point.payload for point in store.scroll("docs", vectors=True)}
            assert all(chunk.is_live for chunk in chunks), "chunks are pending"
            assert sorted(stored) == sorted(chunk.point_id for chunk in chunks), "points are missing or stray"
            assert store.count("docs") == len(chunks)
            assert stored == self.undisturbed()
            plan = engine.plan()
            assert (plan.embedded, plan.notice) == (0, "")
        return len(stored)

    def undisturbed(self):
        """Return the points of an embedded index of the same documents, by id."""
        documents = tuple((path.name, path.read_text()) for path in sorted((self.root / "docs").iterdir()))
        if documents not in UNDISTURBED:
            edge = EdgeVectorStore(self.root / "edge")
            with closing(edge), self.engine(edge, "undisturbed") as (_, engine):
                engine.ingest()
                UNDISTURBED[documents] = {point.id: point.payload for point in edge.scroll("docs")}
        return UNDISTURBED[documents]


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    with bench.double:
        yield bench


def recovered(bench):
    """A run after the fault puts all right, and one after that has nothing to do."""
    bench.double.faults.lift()
    bench.ingest()
    assert bench.audit() > 10
    assert bench.ingest().embedded == 0


def test_down_at_the_start(bench):
    bench.double.stop()
    with pytest.raises(StoreUnavailable, match=r"127.0.0.1.* does not answer.*PIPELINES_QDRANT_URL"):
        bench.ingest(bench.guard())
    assert len(bench.slept) == 3
    bench.double.start()
    recovered(bench)


@pytest.mark.parametrize("call", [4, 11, 17])
def test_down_in_the_middle_of_a_run(bench, call):
    with pytest.raises(StoreUnavailable, match="does not answer"):
        bench.ingest(Hooked(bench.guard(), call, bench.double.stop))
    bench.double.start()
    recovered(bench)


def test_down_for_so_long_that_the_circuit_opens(bench):
    bench.double.stop()
    guard = bench.guard(minimum=2)
    with pytest.raises((StoreUnavailable, CircuitOpen), match=r"again|does not answer"):
        bench.ingest(guard)
    with pytest.raises(CircuitOpen, match=r"vector_store.*pipelines doctor"):
        bench.ingest(guard)
    bench.double.start()
    recovered(bench)


def test_slow_but_within_the_deadline(bench):
    bench.double.faults.plan(Fault("Points/", delay=0.03))
    bench.ingest(bench.guard())
    assert bench.slept == []
    recovered(bench)


def test_slower_than_the_deadline(bench):
    bench.double.faults.plan(Fault("Points/Upsert", skip=3, delay=0.6))
    with pytest.raises(StoreUnavailable, match=r"in time.*qdrant.timeout"):
        bench.ingest(bench.guard(), timeout=0.2)
    recovered(bench)


def test_flapping_is_not_noticed(bench):
    bench.double.faults.plan(Fault(every=2, status="UNAVAILABLE"))
    bench.ingest(bench.guard(failure_ratio=0.9, attempts=20))
    assert bench.slept
    recovered(bench)


def test_a_limited_rate_is_waited_for_as_long_as_the_server_asks(bench):
    bench.double.faults.plan(Fault("Points/Upsert", every=3, status="RESOURCE_EXHAUSTED", retry_after=1.5))
    bench.ingest(bench.guard(failure_ratio=0.9, attempts=20))
    assert bench.slept
    assert all(1.5 <= seconds < 2 for seconds in bench.slept)
    recovered(bench)


@pytest.mark.parametrize("method", ["Points/Upsert", "Collections/Create", "Collections/UpdateAliases"])
def test_an_acknowledgement_that_is_lost_doubles_nothing(bench, method):
    bench.double.faults.plan(Fault(method, calls=3, status="UNAVAILABLE", applied=True))
    bench.ingest(bench.guard())
    assert bench.double.faults.calls[method] > 1
    recovered(bench)


def test_an_acknowledgement_that_is_lost_at_the_end_of_all_patience_doubles_nothing(bench):
    bench.double.faults.plan(Fault("Points/Upsert", skip=2, status="UNAVAILABLE", applied=True))
    with pytest.raises(StoreUnavailable):
        bench.ingest(bench.guard())
    recovered(bench)


@pytest.mark.parametrize("call", [3, 11])
def test_a_restart_in_the_middle_of_a_run_is_not_noticed(bench, call):
    def restart():
        bench.double.stop()
        bench.double.start()

    bench.ingest(Hooked(bench.guard(sleep=time.sleep), call, restart))
    recovered(bench)


def test_a_connection_that_falls_silent_costs_one_deadline(bench):
    with Proxy(bench.double.port) as proxy:
        guard = Hooked(bench.guard(), 9, lambda: proxy.freeze(accepts=True))
        bench.ingest(guard, url=f"http://127.0.0.1:{proxy.port}", timeout=0.5)
        assert bench.slept
    recovered(bench)


def test_a_port_that_accepts_and_never_answers(bench):
    with Proxy(bench.double.port) as proxy:
        proxy.freeze()
        with pytest.raises(StoreUnavailable, match=r"does not answer|in time"):
            bench.ingest(bench.guard(), url=f"http://127.0.0.1:{proxy.port}", timeout=0.3)
    recovered(bench)


def test_a_full_disk_is_called_by_its_name(bench):
    bench.ingest()
    (bench.root / "docs" / "new.md").write_text("# New\n\nSomething that was not there before.")
    bench.double.faults.plan(*FULL_DISK)
    with pytest.raises(StorageError, match=r"disk of http://127.0.0.1.* is full.*free space"):
        bench.ingest(bench.guard())
    assert bench.slept == []
    recovered(bench)


def test_a_key_that_is_refused(bench):
    bench.double.stop()
    bench.double.api_key = "right"
    bench.double.start()
    with pytest.raises(StoreError, match="PIPELINES_QDRANT_API_KEY") as refused:
        bench.ingest(bench.guard(), api_key="wrong")
    assert "wrong" not in str(refused.value)
    assert bench.slept == []
    bench.double.stop()
    bench.double.api_key = None
    bench.double.start()
    recovered(bench)


def test_a_key_that_is_taken_away_in_the_middle_of_a_run(bench):
    def lock():
        bench.double.faults.plan(Fault(status="UNAUTHENTICATED", details="Must provide an API key"))

    with pytest.raises(StoreError, match="PIPELINES_QDRANT_API_KEY"):
        bench.ingest(Hooked(bench.guard(), 10, lock))
    recovered(bench)


def test_a_server_that_acknowledges_without_doing_it_is_healed(bench):
    bench.ingest()
    (bench.root / "docs" / "3.md").write_text("# Pump 3\n\nWas replaced by another.")
    bench.double.faults.plan(Fault("Points/Delete", calls=1, ignored=True))
    bench.ingest()
    bench.double.faults.lift()
    bench.ingest()
    bench.audit()


def test_a_change_and_a_removal_survive_a_fault_in_between(bench):
    bench.ingest()
    (bench.root / "docs" / "1.md").unlink()
    text = (bench.root / "docs" / "2.md").read_text()
    (bench.root / "docs" / "2.md").write_text(text.replace("gauge", "dial"))
    bench.double.faults.plan(Fault("Points/Delete", status="UNAVAILABLE"))
    with pytest.raises(StoreUnavailable):
        bench.ingest(bench.guard())
    recovered(bench)
