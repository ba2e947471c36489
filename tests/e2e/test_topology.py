"""What docker-compose.yml describes, as processes: health, a run from the browser, events by the daemon, a crash."""

import getpass
import json
import os
import signal

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from benchmarks.servers import running_postgres
from tests.e2e.conftest import Workplace, write_documents
from tests.e2e.topology import IN_DAGSTER_HOME, SECRETS, Topology

pytestmark = pytest.mark.e2e

PIPELINES = """
indexes:
  handbook:
    description: How this team works.
    sources:
      - {{name: pages, uri: {folder}/handbook}}
    embedding: {{backend: hash}}
    sample_query: How do I ask for holidays?
  archive:
    description: Old pages, embedded by something slow.
    sources:
      - {{name: pages, uri: {folder}/archive}}
    embedding: {{backend: "slow_embedder:SlowEmbedder"}}
events:
  inbox: [{folder}/inbox]
"""
ORDERS = 20
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
LAUNCH = """
mutation($job: String!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "pipelines_persistence", repositoryName: "__repository__", jobName: $job}
    runConfigData: {}
  }) {__typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}
}
"""


@pytest.fixture(scope="module")
def topology(tmp_path_factory):
    """Starts everything once, in the order of `depends_on`."""
    topology = Topology(tmp_path_factory.mktemp("topology"))
    write_documents(topology.folder)
    write_orders(topology.folder / "inbox")
    (topology.folder / "config" / "pipelines.yaml").write_text(PIPELINES.format(folder=topology.folder))
    # Where the tests run in the background, SIGINT is ignored, by the children as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with running_postgres(fsync="off") as url:
        superuser = "postgres" if os.getuid() == 0 else getpass.getuser()
        topology.create_databases(sa.make_url(url).port, superuser)
        try:
            start_all(topology)
            yield topology
        finally:
            topology.close()


def start_all(topology):
    start_stores(topology)
    migrated = topology.run("migrations", topology.command("migrations"))
    assert migrated.returncode == 0, migrated.stderr
    topology.start("code")
    topology.await_healthy("code")
    for service in ("webserver", "daemon"):
        topology.start(service)
    for service in ("webserver", "daemon"):
        topology.await_healthy(service)


def start_stores(topology):
    topology.start_redis()
    topology.start_qdrant()
    for service in ("postgres", "redis", "qdrant"):
        topology.await_healthy(service)


def write_orders(inbox):
    lines = [
        {
            "stream_id": f"order-{number}",
            "event_type": kind,
            "timestamp": f"2026-01-01T12:0{hour}:00Z",
            "data": {},
        }
        for number in range(ORDERS)
        for hour, kind in enumerate(("OrderPlaced", "OrderPaid", "OrderSent"))
    ]
    inbox.mkdir()
    (inbox / "orders.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.fixture
def workplace(topology):
    workplace = Workplace(topology.url, topology.folder)
    workplace.until(lambda: serves(workplace), 120, "the UI has loaded the code location")
    return workplace


def serves(workplace):
    try:
        loaded = workplace.loaded()
    except OSError:
        return False
    return loaded and loaded["__typename"] == "RepositoryLocation"


def launch(workplace, job):
    launched = workplace.ask(LAUNCH, job=job)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return launched["run"]["runId"]


def end_of(workplace, run_id, seconds=120):
    def ended():
        (status,) = (run["status"] for run in workplace.runs() if run["runId"] == run_id)
        return status if status in ENDED else None

    return workplace.until(ended, seconds, f"the run {run_id} ends")


def launched_by_click(workplace):
    """Returns the newest run that neither a sensor nor a job asked for, if there is one."""
    clicked = [run for run in workplace.runs() if run["jobName"] == "__ASSET_JOB"]
    by_sensor = "dagster/sensor_name"
    return next(
        (run["runId"] for run in clicked if by_sensor not in {tag["key"] for tag in run["tags"]}), None
    )


def retry_of(workplace, run_id):
    tag = {"key": "dagster/parent_run_id", "value": run_id}
    return next((run["runId"] for run in workplace.runs() if tag in run["tags"]), None)


def status(topology, index):
    shown = topology.run("code", ["pipelines", "status", "--json"])
    indexes = json.loads(shown.stdout.splitlines()[-1])["indexes"]
    return next(found for found in indexes if found["index"] == index)


def platform_database(topology):
    url = topology.environment("code")["PIPELINES_DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
    return sa.create_engine(url, poolclass=sa.NullPool)


def search(topology, index, question):
    found = topology.run("code", ["pipelines", "search", question, "--index", index, "--limit", "1"])
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_a_run_from_the_browser_is_found_by_a_process_of_its_own(topology, workplace, page, tmp_path):
    page.goto(f"{topology.url}/locations/pipelines_persistence/asset-groups/handbook/lineage")
    page.get_by_role("button", name="Materialize all").click()
    run_id = workplace.until(lambda: launched_by_click(workplace), 60, "the run is launched")
    page.goto(f"{topology.url}/runs/{run_id}")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=60_000)
    page.screenshot(path=tmp_path / "run.png")
    assert "Ask for holidays two weeks before" in search(topology, "handbook", "Ask for holidays")


def test_a_server_that_is_killed_leaves_a_run_that_fails_and_is_run_again(
    topology, workplace, page, tmp_path
):
    run_id = launch(workplace, "ingest_archive")
    workplace.until(workplace.has_archived, 120, "a batch is written")
    topology.kill("code")
    assert not topology.is_healthy("code")
    for service in ("redis", "qdrant"):
        topology.kill(service)
        assert not topology.is_healthy(service)
    start_stores(topology)
    topology.start("code")
    topology.await_healthy("code")
    retry_id = workplace.until(lambda: retry_of(workplace, run_id), 120, "the daemon launches it again")
    page.goto(f"{topology.url}/runs/{run_id}")
    expect(page.get_by_text("The code server was stopped while it ran this run").first).to_be_visible()
    page.screenshot(path=tmp_path / "killed.png")
    assert end_of(workplace, run_id) == "FAILURE"
    assert end_of(workplace, retry_id) == "SUCCESS"
    index = status(topology, "archive")
    assert index["documents"] == index["points"] == Workplace.archived


def test_the_daemon_takes_events_in_and_the_read_models_follow_in_postgresql(topology, workplace):
    def rows():
        shown = topology.run("code", ["pipelines", "show", "directly_follows", "--json"])
        assert not shown.returncode or "was never built" in shown.stderr, shown.stderr
        return [] if shown.returncode else json.loads(shown.stdout.splitlines()[-1])["rows"]

    def counted():
        return {(row["from_type"], row["to_type"]): row["count"] for row in rows()}

    wanted = {("OrderPlaced", "OrderPaid"): ORDERS, ("OrderPaid", "OrderSent"): ORDERS}
    workplace.until(lambda: wanted.items() <= counted().items(), 120, "a sensor brings the events in")
    with platform_database(topology).connect() as connection:
        count = sa.text("SELECT count(*) FROM events WHERE stream LIKE 'order-%'")
        assert connection.execute(count).scalar() == 3 * ORDERS


def test_each_role_opens_its_own_database_only(topology):
    engine = platform_database(topology)
    with engine.connect():
        pass
    other = sa.create_engine(engine.url.set(database="dagster"), poolclass=sa.NullPool)
    with pytest.raises(sa.exc.OperationalError, match="permission denied"), other.connect():
        pass


def test_what_was_killed_left_nothing_but_its_volumes(topology):
    home = topology.folder / "dagster"
    assert {path.name for path in home.iterdir()} == {"dagster.yaml", *IN_DAGSTER_HOME}
    assert not [path for name in IN_DAGSTER_HOME for path in (home / name).iterdir()]


def test_no_secret_reaches_a_log(topology):
    logs = [path.read_text(errors="replace") for path in (topology.folder / "logs").iterdir()]
    assert len(logs) == 5
    assert not [secret for secret in SECRETS.values() for log in logs if secret in log]
