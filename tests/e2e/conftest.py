"""The real UI over a home of its own, and a real browser to look at it."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PIPELINES = """
indexes:
  handbook:
    description: How this team works.
    owners: ["team:data-platform"]
    sources:
      - {name: pages, uri: handbook, metadata: {audience: everyone}}
    embedding: {backend: hash}
    sample_query: How do I ask for holidays?
  archive:
    description: Old pages, embedded by something slow.
    sources:
      - {name: pages, uri: archive}
    embedding: {backend: "slow_embedder:SlowEmbedder"}
events:
  inbox: [inbox]
"""

SLOW_EMBEDDER = """
import time, zlib

class SlowEmbedder:
    dimension = 4
    max_tokens = 64

    def embed_documents(self, texts):
        time.sleep(1.5)  # a batch: time enough to ask the run to stop
        return [[1.0, *(float(zlib.crc32(text.encode()) >> shift & 255) for shift in (0, 8, 16))] for text in texts]

    def embed_query(self, text):
        return [1.0, 0.0, 0.0, 0.0]
"""

PAGES = {
    "holidays.md": "# Holidays\n\nAsk for holidays two weeks before, in the calendar.\n",
    "expenses.md": "# Expenses\n\nSend the receipt within a month.\n\n## Travel\n\nTrains before planes.\n",
    "on-call.rst": "On call\n=======\n\nOne week each, with a day off after it.\n",
    "glossary.csv": "term,meaning\nindex,a collection that follows its sources\n",
    "welcome.html": "<html><title>Welcome</title><body><h1>Welcome</h1><p>Your first day starts at ten.</p></body></html>",
    "contract.pdf": "%PDF-1.7 and then nothing that a PDF consists of",
    "empty.md": "",
}


@dataclass(frozen=True)
class Workplace:
    """A running UI and the folders it works in."""

    url: str
    folder: Path

    archived: ClassVar = 1200
    """Documents of the slow index: five batches."""

    def ask(self, query, **variables):
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def loaded(self):
        """Returns what became of the code location: its name by the type of its entry, or None while it loads."""
        entries = self.ask(
            "{workspaceOrError{... on Workspace{locationEntries{loadStatus locationOrLoadError{"
            "__typename ... on PythonError{message}}}}}}"
        )["workspaceOrError"]["locationEntries"]
        if not entries or entries[0]["loadStatus"] != "LOADED":
            return None
        return entries[0]["locationOrLoadError"]

    def runs(self):
        query = "{runsOrError{... on Runs{results{runId jobName status tags{key value}}}}}"
        return self.ask(query)["runsOrError"]["results"]

    def state(self, index):
        """Returns what became of the last run, the points that the ledger knows, and those in the store."""
        settings = Settings(home=self.folder / "state", config=self.folder / "pipelines.yaml")
        with Platform(settings) as platform:
            (last,) = platform.ledger.runs(index, 1)
            (collection,) = (name for name in platform.store.collections() if name.startswith(index))
            recorded = platform.ledger.live_points(platform.ledger.by_collection(collection))
            return last.state, recorded, platform.store.count(collection)

    def has_archived(self):
        """Whether the ledger knows of a batch of the archive."""
        query = "SELECT count(*) FROM documents WHERE path LIKE 'page-%' AND outcome = 'indexed'"
        try:
            with closing(sqlite3.connect(self.folder / "state" / "ledger.sqlite")) as ledger:
                return ledger.execute(query).fetchone()[0]
        except sqlite3.OperationalError:  # it is just being made
            return 0

    @staticmethod
    def until(condition, seconds, what):
        """Returns the first true value of a condition."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.3)
        pytest.fail(f"{what}: not within {seconds} s")


def write_events(folder):
    """Writes what comes into the inbox: orders, and a line that is no event."""
    (folder / "inbox").mkdir()
    lines = [
        {
            "stream_id": f"order-{number}",
            "event_type": kind,
            "timestamp": f"2026-01-{1 + number:02}T12:00:00Z",
            "data": {"amount": number},
        }
        for number in range(20)
        for kind in ("OrderPlaced", "OrderPaid", "OrderSent")
    ]
    (folder / "inbox" / "orders.jsonl").write_text("\n".join([*map(json.dumps, lines), "{"]) + "\n")


def write_documents(folder):
    for name, text in PAGES.items():
        (folder / "handbook").mkdir(exist_ok=True)
        (folder / "handbook" / name).write_text(text)
    (folder / "archive").mkdir()
    for number in range(Workplace.archived):
        (folder / "archive" / f"page-{number:04}.md").write_text(f"Old page number {number}.\n")
    (folder / "slow_embedder.py").write_text(SLOW_EMBEDDER)


def environment(folder):
    instance = folder / "dagster_home"
    instance.mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", instance)
    (folder / "user").mkdir()
    return os.environ | {
        "DAGSTER_HOME": str(instance),
        "PIPELINES_HOME": str(folder / "state"),
        "PIPELINES_CONFIG": str(folder / "pipelines.yaml"),
        "PYTHONPATH": str(folder),
        "HOME": str(folder / "user"),
    }


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_session(process):
    """Asks the servers to end as Ctrl-C does, and leaves none of their children behind."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 10
    while (left := members_of(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for member in left:
        os.kill(member, signal.SIGKILL)


def members_of(session):
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it just ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            members.append(int(stat.parent.name))
    return members


def start_ui(folder, pipelines):
    """Starts the UI as `make ui` does; yields once its code location has loaded, well or badly."""
    (folder / "pipelines.yaml").write_text(pipelines)
    port = free_port()
    dg = Path(sys.executable).with_name("dg")
    command = [dg, "dev", "--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)]
    workplace = Workplace(f"http://127.0.0.1:{port}", folder)
    log = folder / "dg.log"
    # Where the tests run in the background, SIGINT is ignored, by the children as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(folder), stdout=output, stderr=output, start_new_session=True
        )
        try:
            workplace.until(lambda: answers(workplace, process, log), 90, "the UI answers")
            yield workplace
        finally:
            end_session(process)


def answers(workplace, process, log):
    assert process.poll() is None, log.read_text()
    try:
        return workplace.loaded()
    except OSError:
        return None


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workplace")
    write_documents(folder)
    write_events(folder)
    yield from start_ui(folder, PIPELINES)


@pytest.fixture(scope="module")  # not longer: its event loop runs in this thread, where Dagster wants its own
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: install one of {', '.join(BROWSERS)}")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=20_000)
        chromium = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, tmp_path):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(20_000)
    page = context.new_page()
    yield page
    page.screenshot(path=tmp_path / "last.png")  # what was there when a test failed
    context.close()
