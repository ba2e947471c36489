"""Everything that goes wrong with a bucket of documents, and with an embedder that is a service, while an index is made.

For each fault: what the user sees, that nothing is deleted on its account, and that the run after it leaves the index as one
that met no fault.
"""

import io
import json
import tarfile
import threading
import time
import uuid
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines_persistence.configuration import (
    BreakerConfig,
    ChunkingConfig,
    DependencyConfig,
    EmbeddingConfig,
    IndexConfig,
    ResilienceConfig,
    RetryConfig,
    SourceConfig,
)
from pipelines_persistence.configuration.resilience import SourcesConfig
from pipelines_persistence.errors import (
    CircuitOpen,
    EmbedderUnavailable,
    EmbeddingError,
    SourceUnavailable,
)
from pipelines_persistence.ingestion import writing
from pipelines_persistence.platform import Platform
from pipelines_persistence.records import Outcome
from pipelines_persistence.resilience import Guards
from pipelines_persistence.settings import Settings
from tests.troubled_bucket import TroubledBucket

DOCUMENTS = {
    f"{number}.md": f"# Pump {number}\n\n"
    + "\n\n".join(
        f"Valve {part} of pump {number} is opened by hand, then gauge {part} is read." for part in range(6)
    )
    for number in range(8)
}


class Bench:
    """An index of one source, in a home of its own."""

    def __init__(self, root, uri, backend="hash"):
        self.root = root
        self.slept = []
        self.config = IndexConfig(
            sources=(SourceConfig(name="docs", uri=uri),),
            embedding=EmbeddingConfig(backend=backend),
            chunking=ChunkingConfig(tokens=48),
        )
        (root / "pipelines.yaml").write_text("events: {}\n")

    @contextmanager
    def engine(self, **breaker):
        retry = RetryConfig(attempts=4, wait=0.01, longest=0.05)
        breaking = BreakerConfig(**{"minimum": 1000} | breaker)
        resilience = ResilienceConfig(
            sources=SourcesConfig(retry=retry, breaker=breaking),
            embedder=DependencyConfig(retry=retry, breaker=breaking),
        )
        settings = Settings(home=self.root / "home", config=self.root / "pipelines.yaml")
        guards = Guards(resilience, sleep=self.slept.append)
        with Platform(settings, guards=guards) as platform:
            yield platform, platform.engine("docs", self.config)

    def ingest(self, **breaker):
        self.slept.clear()
        with self.engine(**breaker) as (_, engine):
            return engine.ingest()

    def audit(self):
        """Compare the ledger with the store, both ways, and return the texts by document."""
        with self.engine() as (platform, engine):
            generation = platform.ledger.live("docs")
            chunks = [
                chunk
                for record in platform.ledger.documents(generation)
                for chunk in platform.ledger.chunks(record.id)
            ]
            stored = {point.id: point.payload for point in platform.store.scroll("docs", vectors=True)}
            assert all(chunk.is_live for chunk in chunks), "chunks are pending"
            assert sorted(stored) == sorted(chunk.point_id for chunk in chunks), "points are missing or stray"
            assert engine.plan().embedded == 0
            totals = platform.ledger.totals(generation)
        texts = {}
        for payload in sorted(stored.values(), key=lambda payload: payload["ordinal"]):
            texts.setdefault(payload["document"], []).append(payload["text"])
        return totals, texts

    def recovered(self, documents=DOCUMENTS):
        """A run puts all right, and one after that has nothing to do."""
        self.ingest()
        totals, texts = self.audit()
        assert totals == {Outcome.INDEXED: len(documents)}
        assert texts.keys() == documents.keys()
        for name, text in documents.items():
            found = " ".join(texts[name])
            valves = [line for line in text.split("\n\n") if line.startswith("Valve")]
            assert [found.count(line) for line in valves] == [1] * len(valves)
        assert self.ingest().embedded == 0


# A bucket


@pytest.fixture
def bucket(tmp_path):
    TroubledBucket.let()
    root = f"/{uuid.uuid4().hex}"
    filesystem = TroubledBucket(skip_instance_cache=True)
    for name, text in DOCUMENTS.items():
        filesystem.pipe(f"{root}/{name}", text.encode())
    bench = Bench(tmp_path, f"troubled:/{root}")
    bench.filesystem, bench.folder = filesystem, root
    yield bench
    TroubledBucket.let()


def every(kind, error, *, skip=0, nth=1):
    """Fail each n-th of the calls of a kind, after the first few."""
    count = [0]

    def trouble(what, _path):
        if what != kind:
            return None
        count[0] += 1
        return error if count[0] > skip and count[0] % nth == 0 else None

    return trouble


def points(bench):
    with bench.engine() as (platform, _):
        return platform.store.count("docs")


@pytest.mark.parametrize(
    "error", [ConnectionError("no route"), TimeoutError("slow"), OSError(28, "SlowDown")]
)
def test_a_bucket_that_is_away_deletes_nothing_and_is_listed_when_it_is_back(bucket, error):
    bucket.ingest()
    before = points(bucket)
    TroubledBucket.let(every("list", error))
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        bucket.ingest()
    assert len(bucket.slept) == 3
    TroubledBucket.let()
    assert points(bucket) == before
    bucket.recovered()


def test_a_bucket_that_is_down_at_the_first_start(bucket):
    TroubledBucket.let(every("list", ConnectionError("no route")))
    with pytest.raises(SourceUnavailable):
        bucket.ingest()
    TroubledBucket.let()
    bucket.recovered()


def test_a_bucket_that_goes_down_in_the_middle_of_a_run_blames_no_document(bucket):
    TroubledBucket.let(every("open", ConnectionError("reset"), skip=3))
    with pytest.raises(SourceUnavailable, match="reset"):
        bucket.ingest()
    TroubledBucket.let()
    bucket.recovered()


@pytest.mark.parametrize("kind", ["list", "open"])
def test_a_bucket_that_flaps_is_not_noticed(bucket, kind):
    TroubledBucket.let(every(kind, ConnectionError("reset"), nth=2))
    TroubledBucket.trouble("list", "")  # so that the listing itself is among those that fail
    report = bucket.ingest()
    assert (report.documents["added"], report.failures) == (len(DOCUMENTS), [])
    assert bucket.slept
    TroubledBucket.let()
    bucket.recovered()


def test_a_slow_bucket_is_waited_for(bucket):
    TroubledBucket.let(lambda _what, _path: time.sleep(0.02))
    assert bucket.ingest().documents["added"] == len(DOCUMENTS)
    assert bucket.slept == []
    TroubledBucket.let()
    bucket.recovered()


def test_a_bucket_that_fails_too_often_is_left_alone_for_a_while(bucket):
    TroubledBucket.let(every("list", ConnectionError("reset")))
    with bucket.engine(minimum=3) as (_, engine):
        with pytest.raises(SourceUnavailable):
            engine.ingest()
        asked = len(TroubledBucket.asked)
        with pytest.raises(CircuitOpen, match="sources:docs/docs"):
            engine.ingest()
    assert len(TroubledBucket.asked) == asked
    TroubledBucket.let()
    bucket.recovered()


def test_a_bucket_that_refuses_the_credentials_is_asked_once_and_deletes_nothing(bucket):
    bucket.ingest()
    before = points(bucket)
    TroubledBucket.let(every("list", PermissionError("Forbidden")))
    with pytest.raises(SourceUnavailable, match="Forbidden"):
        bucket.ingest()
    assert bucket.slept == []
    TroubledBucket.let()
    assert points(bucket) == before
    bucket.recovered()


def test_documents_that_are_denied_keep_their_last_good_version(bucket):
    bucket.ingest()
    for name in ("1.md", "2.md"):
        changed = DOCUMENTS[name].replace("by hand", "by foot")
        bucket.filesystem.pipe(f"{bucket.folder}/{name}", changed.encode())
    TroubledBucket.let(
        lambda what, path: PermissionError("denied") if what == "open" and "1.md" in path else None
    )
    report = bucket.ingest()
    assert [(problem.document, problem.reason) for problem in report.failures] == [
        ("1.md", "unreadable: access denied")
    ]
    _, texts = bucket.audit()
    assert ("by hand" in " ".join(texts["1.md"]), "by foot" in " ".join(texts["2.md"])) == (True, True)
    TroubledBucket.let()
    bucket.recovered(
        {**DOCUMENTS, **{name: DOCUMENTS[name].replace("by hand", "by foot") for name in ("1.md", "2.md")}}
    )


# An archive in a bucket


@pytest.fixture(params=["docs.zip", "docs.tar.gz"])
def archive(request, tmp_path):
    TroubledBucket.let()
    packed, path = io.BytesIO(), f"/{uuid.uuid4().hex}/{request.param}"
    if request.param.endswith("zip"):
        with zipfile.ZipFile(packed, "w") as file:
            for name, text in DOCUMENTS.items():
                file.writestr(name, text)
    else:
        with tarfile.open(fileobj=packed, mode="w:gz") as file:
            for name, text in DOCUMENTS.items():
                info = tarfile.TarInfo(name)
                info.size = len(text)
                file.addfile(info, io.BytesIO(text.encode()))
    filesystem = TroubledBucket(skip_instance_cache=True)
    filesystem.pipe(path, packed.getvalue())
    bench = Bench(tmp_path, f"troubled:/{path}")
    bench.filesystem, bench.path, bench.content = filesystem, path, packed.getvalue()
    yield bench
    TroubledBucket.let()


def test_an_archive_in_a_bucket_that_flaps_is_opened_all_the_same(archive):
    failing = [ConnectionError("reset"), TimeoutError("slow")]
    TroubledBucket.let(lambda what, _path: failing.pop() if what == "open" and failing else None)
    assert archive.ingest().documents["added"] == len(DOCUMENTS)
    assert len(archive.slept) == 2
    archive.recovered()


def test_an_archive_in_a_bucket_that_is_away_deletes_nothing(archive):
    archive.ingest()
    before = points(archive)
    TroubledBucket.let(every("open", ConnectionError("reset")))
    with pytest.raises(SourceUnavailable, match="reset"):
        archive.ingest()
    assert len(archive.slept) == 3
    TroubledBucket.let()
    assert points(archive) == before
    archive.recovered()


def test_an_archive_that_is_damaged_is_opened_once_and_deletes_nothing(archive):
    archive.ingest()
    archive.filesystem.pipe(archive.path, archive.content[: len(archive.content) // 2])
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        archive.ingest()
    assert archive.slept == []
    archive.filesystem.pipe(archive.path, archive.content)
    archive.recovered()


# An embedder that is a service

CLIENT = """
import json, urllib.error, urllib.request
from pipelines_persistence.errors import EmbedderUnavailable

url = ""

def embed(texts):
    request = urllib.request.Request(url, json.dumps(texts).encode())
    try:
        with urllib.request.urlopen(request, timeout=0.4) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            wait = error.headers.get("Retry-After")
            if error.code == 429:
                raise EmbedderUnavailable("the service is busy", retry_after=float(wait)) from None
            raise RuntimeError(f"the service answers {error.code}") from None

embed.dimension = 8
"""


class Service:
    """Answers texts with vectors over HTTP, and fails as it is told to.

    Attributes:
        trouble: takes the number of a request and its handler; returns True if it has dealt with it.
        texts: those that were embedded.
    """

    def __init__(self):
        self.trouble = lambda _number, _handler: False
        self.texts, self.requests = [], 0
        self._server, self.port = None, 0

    def start(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.requests += 1
                if service.trouble(service.requests, self):
                    return
                service.texts += texts
                self.answer(200, json.dumps([[1.0, len(text), *map(ord, text[:6])] for text in texts]))

            def answer(self, status, body="", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.handle_error = lambda *_: None  # clients that gave up
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_TEXTS", 6)  # so that a run has several batches
    name = f"client_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(CLIENT)
    monkeypatch.syspath_prepend(tmp_path)
    service = Service()
    service.start()
    __import__(name).url = f"http://127.0.0.1:{service.port}/"
    (tmp_path / "docs").mkdir()
    for document, text in DOCUMENTS.items():
        (tmp_path / "docs" / document).write_text(text)
    bench = Bench(tmp_path, str(tmp_path / "docs"), f"{name}:embed")
    bench.service = service
    yield bench
    service.stop()


def well(service):
    service.service.trouble = lambda _number, _handler: False


def hang_up(handler):
    handler.close_connection = True
    handler.connection.close()
    return True


def test_a_service_that_is_down_at_the_start_blames_no_document(service):
    service.service.stop()
    with pytest.raises(EmbedderUnavailable, match=r"does not answer.*refused"):
        service.ingest()
    assert len(service.slept) == 3
    service.service.start()
    service.recovered()


def test_a_service_that_goes_down_in_the_middle_of_a_run_and_what_was_embedded_is_kept(service):
    service.service.trouble = lambda number, handler: number > 1 and hang_up(handler)
    with pytest.raises(EmbedderUnavailable, match="does not answer"):
        service.ingest()
    well(service)
    service.recovered()
    assert len(service.service.texts) == len(set(service.service.texts))  # nothing was embedded twice


def test_a_service_that_is_restarted_in_the_middle_of_a_run_is_not_noticed(service):
    def restart(number, handler):
        return number == 2 and hang_up(handler)

    service.service.trouble = restart
    assert service.ingest().failures == []
    assert len(service.slept) == 1
    service.recovered()


def test_a_service_that_flaps_is_not_noticed(service):
    service.service.trouble = lambda number, handler: number % 2 and hang_up(handler)
    assert service.ingest().failures == []
    assert service.slept
    well(service)
    service.recovered()


def test_a_slow_service_is_waited_for_and_one_that_is_slower_than_its_deadline_is_asked_again(service):
    service.service.trouble = lambda number, _handler: time.sleep(0.6 if number == 1 else 0.05)
    assert service.ingest().failures == []
    assert len(service.slept) == 1
    well(service)
    service.recovered()


def test_a_service_that_accepts_and_never_answers_blames_no_document(service):
    over = threading.Event()
    service.service.trouble = lambda _number, handler: over.wait(20) and hang_up(handler)
    with pytest.raises(EmbedderUnavailable, match="timed out"):
        service.ingest()
    over.set()
    well(service)
    service.recovered()


def test_a_service_that_limits_the_rate_is_waited_for_as_long_as_it_asks(service):
    def limit(number, handler):
        if number % 2:
            handler.answer(429, Retry_After="7")
        return number % 2

    service.service.trouble = limit
    assert service.ingest().failures == []
    assert service.slept
    assert all(seconds >= 7 for seconds in service.slept)
    well(service)
    service.recovered()


def test_an_answer_of_a_service_that_is_lost_is_asked_for_again(service):
    def lose(number, handler):
        if number != 1:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        return hang_up(handler)

    service.service.trouble = lose
    assert service.ingest().failures == []
    assert len(service.slept) == 1
    service.recovered()


@pytest.mark.parametrize("status", [401, 507])
def test_a_service_that_refuses_or_is_full_is_asked_once_and_blames_no_document(service, status):
    service.service.trouble = lambda _number, handler: handler.answer(status) or True
    with pytest.raises(EmbeddingError, match=f"answers {status}"):
        service.ingest()
    assert service.slept == []
    well(service)
    service.recovered()
