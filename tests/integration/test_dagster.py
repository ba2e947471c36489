"""The Dagster definitions over real files and real adapters, with the hash embedder."""

from contextlib import closing, contextmanager

import dagster as dg
import pytest
from filelock import FileLock

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.configuration import ResilienceConfig
from pipelines_persistence.definitions import build_defs
from pipelines_persistence.defs import supervision
from pipelines_persistence.errors import ConfigurationError, SourceUnavailable
from pipelines_persistence.resilience import Guards
from pipelines_persistence.settings import Settings
from resources.vector_store import VectorStoreResource

# Dagster calls a deprecated method of its own for a resource within a resource.
pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")

PIPELINES = """
indexes:
  hand-book:
    description: How this team works.
    owners: ["team:data-platform"]
    sources:
      - {name: pages, uri: docs, metadata: {audience: everyone}}
      - {name: bucket, uri: more.zip}
    embedding: {backend: hash}
    schedule: "0 3 * * *"
    sample_query: How do I ask for holidays?
"""
PAGES = {
    "holidays.md": "# Holidays\n\nAsk for holidays two weeks before, in the calendar.\n",
    "expenses.md": "# Expenses\n\nSend the receipt within a month.\n",
    "trains.md": "# Trains\n\nBefore planes | always.\n",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "docs").mkdir()
    for name, text in PAGES.items():
        (tmp_path / "docs" / name).write_text(text)
    (tmp_path / "pipelines.yaml").write_text(PIPELINES.replace("      - {name: bucket, uri: more.zip}\n", ""))
    return tmp_path


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def run(folder, instance):
    """Returns a function that runs the job of the index, as a launch in the UI does."""

    def run_job(*, approve=0, **overrides):
        defs = build_defs(Settings(home=folder / "home", config=folder / "pipelines.yaml"), **overrides)
        options = {"ops": {"hand_book__index": {"config": {"approve_deletions": approve}}}}
        job = defs.resolve_job_def("ingest_hand_book")
        return job.execute_in_process(instance=instance, run_config=options, raise_on_error=False)

    return run_job


def metadata(result, asset):
    (event,) = (e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == asset)
    return {key: entry.value for key, entry in event.materialization.metadata.items()}


def version(result, asset):
    (event,) = (e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == asset)
    return event.materialization.tags["dagster/data_version"]


def checks(result):
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def failure(result):
    (event,) = (event for event in result.all_events if event.is_step_failure)
    return event


def test_an_index_is_a_graph_from_its_sources_over_a_plan(tmp_path):
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    defs = build_defs(Settings(home=tmp_path / "home", config=tmp_path / "pipelines.yaml"))
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    plan, index = (
        graph.get(dg.AssetKey(["hand-book", "plan"])),
        graph.get(dg.AssetKey(["hand-book", "index"])),
    )
    assert {"/".join(key.path) for key in plan.parent_keys} == {
        "hand-book/sources/pages",
        "hand-book/sources/bucket",
    }
    assert index.parent_keys == {plan.key}
    assert index.pools == {"index_hand_book"}
    assert index.owners == ["team:data-platform"]
    assert index.code_version == plan.code_version
    assert {node.group_name for node in graph.asset_nodes} == {
        "hand_book",
        "events",
        "caches",
        "dependencies",
    }
    assert "How this team works." in index.description
    assert [check.name for check in plan.check_keys] == ["sources_have_documents"]


def test_a_schedule_that_the_configuration_asks_for_is_switched_on(tmp_path):
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    defs = build_defs(Settings(config=tmp_path / "pipelines.yaml"))
    schedule = defs.resolve_schedule_def("reindex_hand_book")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * *", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "ingest_hand_book"


def test_the_configuration_of_the_model_is_the_code_version(tmp_path):
    def code_version(content):
        (tmp_path / "pipelines.yaml").write_text(content)
        defs = build_defs(Settings(config=tmp_path / "pipelines.yaml"))
        return defs.resolve_asset_graph().get(dg.AssetKey(["hand-book", "index"])).code_version

    assert code_version(PIPELINES) == code_version(PIPELINES.replace("holidays", "trains"))
    assert code_version(PIPELINES) != code_version(PIPELINES.replace("backend: hash", "backend: openvino"))


def test_a_wrong_configuration_does_not_load_and_says_where(tmp_path):
    (tmp_path / "pipelines.yaml").write_text(PIPELINES.replace("owners", "owner"))
    with pytest.raises(ConfigurationError, match=r"pipelines.yaml:5: indexes.hand-book.owner: unknown key"):
        build_defs(Settings(config=tmp_path / "pipelines.yaml"))


def test_a_run_indexes_and_a_second_one_embeds_nothing(run):
    first, second = run(), run()
    assert first.success
    assert second.success
    planned, found, again = metadata(first, "plan"), metadata(first, "index"), metadata(second, "index")
    assert planned["chunks/to embed"] == found["chunks/embedded"] == found["dagster/row_count"] == 3
    assert found["documents/added"] == found["documents/total"] == 3
    assert found["tokens/embedded"] == planned["tokens/to embed"] > 0
    assert found["seconds/embed"] >= 0
    assert found["rate/documents per second"] > 0
    assert again["documents/unchanged"] == again["dagster/row_count"] == 3
    assert again["chunks/embedded"] == again["chunks/written"] == 0
    assert "rate/embed, chunks per second" not in again
    assert all(check.passed for check in checks(second).values())


def test_the_data_version_follows_the_documents_and_that_of_the_plan_the_configuration(run, folder):
    first, second = run(), run()
    (folder / "docs" / "trains.md").write_text("# Trains\n\nAnd ships.\n")
    third = run()
    assert version(first, "index") == version(second, "index") != version(third, "index")
    assert version(first, "plan") == version(second, "plan") == version(third, "plan")


def test_a_sample_search_is_shown_and_a_document_cannot_break_its_table(run, folder):
    (folder / "docs" / "holidays.md").write_text("Ask for holidays | <b>now</b> `or` [never](http://x)\n")
    shown = metadata(run(), "index")["sample search"]
    row = next(line for line in shown.splitlines() if "holidays.md" in line)
    assert shown.startswith("**How do I ask for holidays?**")
    assert row.endswith(r"| Ask for holidays \| \<b\>now\</b\> \`or\` \[never\](http://x) |")


def test_a_sample_search_is_short_enough_for_the_ui_to_show_it_at_once(run, folder):
    for number in range(6):
        (folder / "docs" / f"{number}{'x' * 90}.md").write_text("Ask for [holidays]. " * 20)
    shown = metadata(run(), "index")["sample search"]
    assert len(shown) < 1000
    assert shown.count("…") >= 2


def test_a_document_that_fails_is_a_warning_with_its_reason_and_the_run_succeeds(run, folder):
    (folder / "docs" / "contract.pdf").write_bytes(b"%PDF-1.7 and then nothing that a PDF consists of")
    (folder / "docs" / "empty.md").touch()
    result = run()
    check = checks(result)["no_failed_documents"]
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description.startswith("1 of 5 documents failed")
    (row,) = check.metadata["reasons"].records
    assert row.data["document"] == "contract.pdf"
    assert row.data["reason"].startswith("malformed")
    found = result.get_asset_materialization_events()[-1].materialization.metadata
    assert found["failed documents"].records[0].data == row.data
    assert found["skipped documents"].records[0].data["reason"].startswith("empty")


def test_sources_without_documents_stop_the_run_before_the_index_is_touched(run, folder):
    run()
    for page in (folder / "docs").iterdir():
        page.unlink()
    result = run()
    check = checks(result)["sources_have_documents"]
    assert not result.success
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert "list no document" in check.description
    assert [event.asset_key.path[-1] for event in result.get_asset_materialization_events()] == ["plan"]
    (folder / "docs" / "holidays.md").write_text(PAGES["holidays.md"])
    assert metadata(run(), "index")["dagster/row_count"] < 3


def test_deletions_wait_for_an_approval_that_is_given_in_the_launchpad(run, folder):
    for number in range(20):
        (folder / "docs" / f"page{number}.md").write_text(f"Page number {number}.\n")
    run()
    for number in range(20):
        (folder / "docs" / f"page{number}.md").unlink()
    withheld, approved = run(), run(approve=20)
    check = checks(withheld)["nothing_withheld"]
    assert withheld.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "approve_deletions" in check.description
    assert metadata(withheld, "index")["documents/withheld"] == 20
    assert metadata(withheld, "index")["dagster/row_count"] == 23
    assert checks(approved)["nothing_withheld"].passed
    assert metadata(approved, "index")["documents/deleted"] == 20
    assert metadata(approved, "index")["dagster/row_count"] == 3


def test_a_permanent_error_is_a_failure_with_its_message_and_is_not_retried(run, folder):
    content = (folder / "pipelines.yaml").read_text()
    (folder / "pipelines.yaml").write_text(
        content.replace("backend: hash", 'backend: "no_such_module:embed"')
    )
    result = run()
    data = failure(result).step_failure_data
    assert "no module 'no_such_module'" in data.user_failure_data.description
    assert data.user_failure_data.metadata["error"].value == "ConfigurationError"
    assert not result.filter_events(lambda event: event.is_step_up_for_retry)


def test_a_transient_error_is_retried_and_then_a_failure_with_its_message(run, folder, monkeypatch):
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.01)
    (folder / "docs").rename(folder / "elsewhere")
    result = run()
    data = failure(result).step_failure_data
    assert len(result.filter_events(lambda event: event.is_step_up_for_retry)) == supervision.RETRIES
    assert str(folder / "docs") in data.user_failure_data.description
    assert data.user_failure_data.metadata["error"].value == SourceUnavailable.__name__


def test_a_run_waits_for_an_index_that_another_process_holds(run, folder, monkeypatch):
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.01)
    run()
    with FileLock(folder / "home" / "locks" / "hand-book.lock"):
        result = run()
    assert "another run holds the index" in failure(result).step_failure_data.user_failure_data.description
    assert metadata(result, "plan")["documents/total"] == 3  # a plan needs no lock
    assert run().success


def test_a_resource_that_is_overridden_is_what_the_engines_use(run, folder):
    run(vector_store=VectorStoreResource(path=str(folder / "other"), resilience=Guards(ResilienceConfig())))
    assert (folder / "other").is_dir()
    assert not (folder / "home" / "qdrant").exists()


@pytest.mark.parametrize("breaks", [False, True])
def test_the_store_is_closed_whatever_happens(run, folder, monkeypatch, breaks):
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.01)
    closed = []

    class Watched(EdgeVectorStore):
        def close(self):
            super().close()
            closed.append(self)

    class WatchedResource(VectorStoreResource):
        @contextmanager
        def yield_for_execution(self, context):
            del context
            with closing(Watched(folder / "home" / "qdrant")) as store:
                yield store

    if breaks:
        (folder / "docs").rename(folder / "elsewhere")
    result = run(vector_store=WatchedResource(path="", resilience=Guards(ResilienceConfig())))
    assert result.success is not breaks
    assert closed
