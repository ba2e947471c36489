"""The Dagster definitions of events over real databases: the job, the sensors, automation, the checks."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.execute_in_process import core_execute_in_process
from dagster._core.loader import LoadingContextForTest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value
from pydantic import SecretStr

import resources.eventing
from pipelines_persistence.definitions import build_defs
from pipelines_persistence.defs import supervision
from pipelines_persistence.defs.events import runs
from pipelines_persistence.defs.events.naming import FOLLOWS
from pipelines_persistence.defs.events.run_history import record
from pipelines_persistence.defs.events.runs import execution
from pipelines_persistence.errors import DatabaseUnavailable, SourceUnavailable, StorageError
from pipelines_persistence.eventing import Eventing
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.pipelines import PipelineStatus
from pipelines_persistence.settings import Settings

INDEX = """
indexes:
  handbook: {sources: [{name: pages, uri: docs}], embedding: {backend: hash}}
"""
PIPELINES = f"""{INDEX}
events:
  inbox: [inbox]
  schedule: "*/15 * * * *"
  lag_warning: 5
  projections:
    accounts: {{projection: "accounts_projection:Accounts"}}
    reasoning_timeline: {{enabled: false}}
    tool_usage: {{enabled: false}}
    ingest_history: {{enabled: false}}
    live_entities: {{enabled: false}}
    directly_follows: {{enabled: false}}
    event_type_counts: {{enabled: false}}
"""
PROJECTION = """
import msgspec
from pipelines_persistence.events import decode
from pipelines_persistence.projections import Projection, Table, on


class Account(msgspec.Struct):
    stream: str
    balance: int = 0
    note: str = ""


class Accounts(Projection):
    '''What each account holds.'''

    name = "accounts"
    tables = (Table(Account, key=["stream"], order=["-balance"]),)
    by_stream = True

    @on("Paid")
    def paid(self, event, models):
        data = decode(event.data)
        if data["amount"] == 13:
            raise ValueError("an unlucky amount")
        row = models[Account].get(event.stream) or Account(event.stream)
        row.balance += data["amount"]
        row.note = data.get("note", "")
        models[Account].put(row)
"""
LOG = dg.AssetKey(["event_log"])
ACCOUNTS = dg.AssetKey(["read_models", "accounts"])
CHEAP = {"no_rejected_lines", "fence_lag", "no_dead_letters", "lag"}
MODELS = {"read_models/accounts", "read_models/pipeline_board", "read_models/stream_summary"}


class Workbench(Eventing):
    """What deals with events, with faults that a test asks for."""

    broken = None

    def take_in(self, notify):
        if self.broken:
            raise self.broken
        return super().take_in(notify)

    def news(self):
        if self.broken:
            raise self.broken
        return super().news()


class Desk:
    """Definitions, an instance of Dagster, and what its daemons would do."""

    def __init__(self, folder, instance, url, exits):
        self.folder, self.instance, self.url, self.exits = folder, instance, url, exits
        self.cursors, self.automation = {}, None
        self.load()

    def load(self, *changes):
        """Loads the definitions, after changes of the configuration."""
        path = self.folder / "pipelines.yaml"
        for old, new in changes:
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        settings = Settings(home=self.folder / "home", config=path, database_url=SecretStr(self.url))
        self.bench = Workbench(settings, self.exits)
        self.defs = build_defs(settings, eventing=self.bench)

    def launch(self, job, assets=(), checks=(), tags=None, config=None):
        """Runs what is selected of a job, as the daemon does."""
        chosen = job.get_subset(asset_selection=set(assets), asset_check_selection=set(checks))
        return core_execute_in_process(
            job=InMemoryJob(chosen),
            run_config=config or {},
            instance=self.instance,
            output_capturing_enabled=True,
            raise_on_error=False,
            run_tags=tags,
            asset_selection=frozenset(assets),
        )

    def run(self, *keys, config=None):
        """Runs assets of the job, all of them by default."""
        job = self.defs.resolve_job_def("events")
        graph = job.asset_layer.asset_graph
        keys = keys or graph.materializable_asset_keys
        checks = {key for key in graph.asset_check_keys if key.asset_key in keys}
        return self.launch(job, keys, checks, config=config)

    def grant(self, request):
        """Runs what a sensor asks for."""
        job = self.defs.resolve_job_def("events")
        return self.launch(job, request.asset_selection, request.asset_check_keys)

    def obey(self, requested):
        """Runs what automation asks for."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        keys = {dg.AssetKey.from_user_string(key) for key in requested}
        graph = job.asset_layer.asset_graph
        checks = {
            key for key in graph.get_check_keys_for_assets(keys) if not graph.get(key).automation_condition
        }
        return self.launch(job, keys, checks, tags={FOLLOWS: "true"})

    def check(self, key, name, config=None):
        """Runs one check alone; returns its verdict."""
        options = {"ops": {f"{'__'.join(key.path)}_{name}": {"config": config}}} if config else None
        job = self.defs.resolve_implicit_global_asset_job_def()
        result = self.launch(job, checks=[dg.AssetCheckKey(key, name)], config=options)
        (verdict,) = result.get_asset_check_evaluations()
        return verdict

    def tick(self, name="new_events"):
        """Evaluates a sensor and keeps what it reports, as the daemon does."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=self.defs.get_repository_def(),
            resources={"eventing": self.bench},
        ) as context:
            result = self.defs.resolve_sensor_def(name)(context)
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        self.cursors[name] = result.cursor
        return result

    def automate(self, at=None):
        """Evaluates the automation conditions; returns what they ask for."""
        result = dg.evaluate_automation_conditions(
            defs=self.defs,
            instance=self.instance,
            asset_selection=self.defs.resolve_sensor_def("follow_events").asset_selection,
            cursor=self.automation,
            evaluation_time=at,
        )
        self.automation = result.cursor
        return {one.key.to_user_string() for one in result.results if one.true_subset.size}

    def reports(self):
        """Returns the data versions that the log was reported with, the oldest first."""
        found = self.instance.fetch_materializations(LOG, limit=100, ascending=True).records
        return [record.asset_materialization.tags["dagster/data_version"] for record in found]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    (tmp_path / "accounts_projection.py").write_text(PROJECTION)
    (tmp_path / "inbox").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "accounts_projection", raising=False)
    return tmp_path


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(params=["sqlite"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


on_postgres = pytest.mark.parametrize("url", ["postgres"], indirect=True)


@pytest.fixture
def desk(folder, instance, url):
    with ExitStack() as exits:
        yield Desk(folder, instance, url, exits)


def pay(desk, stream, *amounts, note=""):
    events = [NewEvent.of("Paid", {"amount": amount, "note": note}) for amount in amounts]
    desk.bench.store.append(stream, events, Expected.ANY)


def drop_file(folder, name, *lines):
    (folder / "inbox" / name).write_text("\n".join(map(json.dumps, lines)) + "\n")


def line(stream, amount, day=1):
    moment = f"2026-01-{day:02}T00:00:00Z"
    return {"stream_id": stream, "event_type": "Paid", "timestamp": moment, "data": {"amount": amount}}


def metadata(result, key):
    (event,) = (e for e in result.get_asset_materialization_events() if e.asset_key == key)
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def verdicts(result):
    return {
        (check.asset_key.path[-1], check.check_name): check for check in result.get_asset_check_evaluations()
    }


def failure(result):
    (event,) = (event for event in result.all_events if event.is_step_failure)
    return event.step_failure_data.user_failure_data


# The graph


def test_the_graph_runs_from_the_feeds_over_the_log_to_the_read_models(desk):
    desk.load(("  schedule", '  redis: {streams: ["orders:new"]}\n  schedule'))
    dg.Definitions.validate_loadable(desk.defs)
    graph = desk.defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get(LOG).parent_keys} == {"inbox/inbox", "redis/orders_new"}
    accounts = graph.get(ACCOUNTS)
    assert accounts.parent_keys == {LOG}
    assert accounts.description.startswith("What each account holds.")
    assert accounts.code_version == desk.bench.projection("accounts").projection.fingerprint
    assert accounts.kinds == {"view", "sqlite"}
    assert graph.get(dg.AssetKey("snapshots")).parent_keys == {LOG}
    groups = {node.group_name for node in graph.asset_nodes}
    assert groups == {"events", "handbook", "caches", "dependencies"}
    assert {key.to_user_string() for key in graph.get(LOG).child_keys} == MODELS | {"snapshots"}


def test_a_schedule_is_there_only_where_it_is_asked_for_and_names_what_it_runs(desk, folder):
    schedule = desk.defs.resolve_schedule_def("take_in_events")
    assert (schedule.cron_schedule, schedule.job_name) == ("*/15 * * * *", "events")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    (request,) = schedule.evaluate_tick(dg.build_schedule_context()).run_requests
    assert {key.to_user_string() for key in request.asset_selection} == MODELS | {"event_log", "snapshots"}
    (folder / "pipelines.yaml").write_text(INDEX)
    left = build_defs(Settings(config=folder / "pipelines.yaml")).schedules
    assert [schedule.name for schedule in left] == ["observe_dependencies_schedule"]


def test_what_costs_more_than_a_look_does_not_run_with_the_job(desk):
    checks = desk.defs.resolve_job_def("events").asset_layer.asset_graph.asset_check_keys
    assert {key.name for key in checks} == CHEAP
    alone = desk.defs.resolve_job_def("verify_events").asset_layer.asset_graph.asset_check_keys
    assert {key.name for key in alone} == {"versions_are_dense", "fence_lag", "equals_a_replay", "lag"}


@pytest.mark.filterwarnings("ignore:Property:DeprecationWarning")  # Dagster's own snapshot asks for one
def test_loading_the_definitions_opens_no_database_and_shows_no_password(folder, monkeypatch):
    monkeypatch.setenv("PIPELINES_DATABASE_URL", "postgresql://me:hush@nowhere.invalid/events")
    defs = build_defs(Settings(home=folder / "home", config=folder / "pipelines.yaml"))
    dg.Definitions.validate_loadable(defs)
    resource = defs.resources["eventing"]
    snapshot = external_resource_data(defs)
    assert resource.database_url == dg.EnvVar("PIPELINES_DATABASE_URL")
    assert "PIPELINES_DATABASE_URL" in snapshot
    assert "hush" not in snapshot
    assert not (folder / "home").exists()
    assert defs.resolve_asset_graph().get(ACCOUNTS).kinds == {"view", "postgres"}


def external_resource_data(defs):
    """Returns what the UI is told of the resources and of the jobs' configuration."""
    data = RepositorySnap.from_def(defs.get_repository_def())
    return serialize_value(data)


# The job


def test_the_job_takes_events_in_and_brings_what_follows_in_step(desk, folder):
    drop_file(folder, "a.jsonl", line("account-1", 5), line("account-2", 7), line("account-1", 5))
    result = desk.run()
    assert result.success
    log, accounts = metadata(result, LOG), metadata(result, ACCOUNTS)
    assert (log["events/read"], log["events/appended"], log["streams"], log["events/rejected"]) == (
        3,
        3,
        2,
        0,
    )
    assert log["head"] == str(desk.bench.store.head()) == desk.reports()[-1]
    assert [record.data["version"] for record in log["newest events"].records] == [2, 1, 1]
    assert accounts["events/worked in"] == accounts["events/total"] == 3
    assert (accounts["dagster/row_count"], accounts["lag/events"]) == (2, 0)
    assert accounts["preview"].records[0].data == {"stream": "account-1", "balance": 10, "note": ""}
    assert accounts["rate/events per second"] > 0
    assert all(check.passed for check in verdicts(result).values())
    assert metadata(result, dg.AssetKey("snapshots"))["streams/failed"] == 0

    again = desk.run()
    assert (metadata(again, LOG)["events/read"], metadata(again, ACCOUNTS)["events/worked in"]) == (0, 0)
    assert len(set(desk.reports())) == 1


def test_a_line_that_is_no_event_is_a_warning_with_file_and_line_until_it_is_mended(desk, folder):
    drop_file(folder, "a.jsonl", line("account-1", 5), {"stream_id": "account-1"})
    first, second = desk.run(LOG), desk.run(LOG)
    check = verdicts(first)["event_log", "no_rejected_lines"]
    assert first.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    (row,) = metadata(first, LOG)["rejected lines"].records
    assert (row.data["file"].endswith("inbox/a.jsonl"), row.data["line"]) == (True, 2)
    assert not verdicts(second)["event_log", "no_rejected_lines"].passed
    drop_file(folder, "a.jsonl", line("account-1", 5), line("account-1", 6))
    assert verdicts(desk.run(LOG))["event_log", "no_rejected_lines"].passed


def test_a_poison_event_is_a_warning_with_its_reason_and_the_others_are_in(desk):
    pay(desk, "account-1", 5, 13, 7)
    result = desk.run(ACCOUNTS)
    check = verdicts(result)["accounts", "no_dead_letters"]
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description.startswith("Events that could not be worked in, and stay in the log: 1.")
    (row,) = check.metadata["events"].records
    assert (row.data["stream"], row.data["version"]) == ("account-1", 2)
    assert row.data["error"] == "ValueError: an unlucky amount"
    found = metadata(result, ACCOUNTS)
    assert (found["events/dead letters"], found["events/worked in"]) == (1, 2)
    assert found["failing events"].records[0].data == row.data
    assert desk.check(ACCOUNTS, "equals_a_replay").passed


def test_a_projection_that_is_to_stop_at_a_poison_event_fails_and_says_which(desk):
    desk.load(('Accounts"}', 'Accounts", skip_failing: false}'))
    pay(desk, "account-1", 5, 13)
    told = failure(desk.run(ACCOUNTS))
    assert "Paid at version 2 of 'account-1' cannot be worked in" in told.description
    assert told.metadata["error"].value == "ProjectionFailed"


def test_values_of_any_kind_are_shown_short_and_plain(desk):
    note = "<b>1</b> | `2`\n" + "x" * 300 + "\u202e"
    pay(desk, "account-1", 2**60, note=note)
    (row,) = metadata(desk.run(ACCOUNTS), ACCOUNTS)["preview"].records
    assert row.data["balance"] == str(2**60)
    assert row.data["note"].startswith("<b>1</b> | `2` xxx")
    assert len(row.data["note"]) == 121


def test_a_read_model_is_built_anew_by_a_choice_in_the_launchpad(desk):
    pay(desk, "account-1", 5)
    before = metadata(desk.run(ACCOUNTS), ACCOUNTS)["build"]
    options = {"ops": {"read_models__accounts": {"config": {"rebuild": True}}}}
    found = metadata(desk.run(ACCOUNTS, config=options), ACCOUNTS)
    assert found["build"] > before
    assert found["events/worked in"] == 1


def test_a_transient_error_is_retried_and_then_a_failure_with_its_message(desk, monkeypatch):
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.01)
    desk.bench.broken = SourceUnavailable("the inbox is not mounted: mount it")
    result = desk.run(LOG)
    assert len(result.filter_events(lambda event: event.is_step_up_for_retry)) == supervision.RETRIES
    assert failure(result).description == "the inbox is not mounted: mount it"


def test_a_run_that_is_asked_to_stop_stops_after_its_batch_and_the_next_one_completes_it(desk):
    pay(desk, "account-1", *range(1, 7))
    accounts = type(desk.bench.projection("accounts").projection)
    paid, asked = accounts.project, []

    def project(self, events, models):
        paid(self, events, models)
        if not asked:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGINT)  # as Dagster's run launcher does

    accounts.project, accounts.batch_size = project, 2
    stopped = desk.run(ACCOUNTS)
    (event,) = (event for event in stopped.all_events if event.is_step_failure)
    assert event.step_failure_data.error.cls_name == "DagsterExecutionInterruptedError"
    build = desk.bench.models.builds("accounts")[-1]
    assert desk.bench.models.checkpoint(build).events == 2
    assert metadata(desk.run(ACCOUNTS), ACCOUNTS)["events/total"] == 6


# The sensor on new events


def test_where_nothing_is_new_a_tick_reports_nothing_and_asks_for_nothing(desk):
    for _ in range(2):
        result = desk.tick()
        assert (result.run_requests, result.asset_events) == ([], [])
        assert result.skip_reason.skip_message == "Nothing new."
    assert desk.reports() == []


def test_new_events_are_reported_once_with_the_place_of_the_last_one(desk):
    pay(desk, "account-1", 5, 6)
    pay(desk, "account-2", 7)
    first, second = desk.tick(), desk.tick()
    (report, fence) = first.asset_events
    assert (report.asset_key, fence.check_name) == (LOG, "fence_lag")
    assert report.metadata["events/new"].value == 3
    assert report.metadata["streams"].value == 2
    assert second.asset_events == []
    assert desk.reports() == [str(desk.bench.store.head())]
    assert first.run_requests == second.run_requests == []


def test_what_a_run_has_taken_in_is_not_reported_again(desk, folder):
    drop_file(folder, "a.jsonl", line("account-1", 5))
    desk.run(LOG)
    assert desk.tick().asset_events == []
    assert len(desk.reports()) == 1


def test_a_log_that_a_slow_run_told_an_older_place_of_is_reported_anew(desk):
    pay(desk, "account-1", 5)
    before = str(desk.bench.store.head())
    pay(desk, "account-1", 6)
    desk.tick()
    late = dg.AssetMaterialization(LOG, tags={"dagster/data_version": before})
    desk.instance.report_runless_asset_event(late)
    desk.tick()
    desk.tick()
    head = str(desk.bench.store.head())
    assert desk.reports() == [head, before, head]


def test_news_in_the_inbox_ask_for_a_run_once_and_other_news_once_more(desk, folder):
    drop_file(folder, "a.jsonl", line("account-1", 5))
    first, second = desk.tick(), desk.tick()
    (request,) = first.run_requests
    assert {key.to_user_string() for key in request.asset_selection} == MODELS | {"event_log"}
    assert {key.name for key in request.asset_check_keys} == CHEAP
    assert second.run_requests == []
    desk.cursors.clear()  # a cursor that was lost asks again with the same key, and Dagster knows that
    (repeated,) = desk.tick().run_requests
    assert repeated.run_key == request.run_key
    desk.grant(request)
    assert desk.tick().run_requests == []
    drop_file(folder, "b.jsonl", line("account-1", 6))
    (other,) = desk.tick().run_requests
    assert other.run_key != request.run_key


def test_while_a_run_waits_to_begin_no_other_is_asked_for(desk, folder):
    waiting = desk.instance.create_run_for_job(desk.defs.resolve_job_def("events"))
    drop_file(folder, "a.jsonl", line("account-1", 5))
    assert desk.tick().run_requests == []
    desk.instance.delete_run(waiting.run_id)
    assert len(desk.tick().run_requests) == 1


def test_a_feed_that_does_not_answer_does_not_keep_the_log_from_being_reported(desk):
    pay(desk, "account-1", 5)
    desk.bench.broken = SourceUnavailable("Redis does not answer")
    desk.tick()
    assert len(desk.reports()) == 1


def shown(desk, key, name):
    """Returns the verdict that the UI shows: only one on the latest materialization."""
    record = desk.instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(key, name))
    is_shown = asyncio.run(record.targets_latest_materialization(LoadingContextForTest(desk.instance)))
    return record.evaluation.passed if is_shown else None


def test_a_report_of_the_log_hides_no_verdict_on_its_files(desk, folder):
    drop_file(folder, "a.jsonl", {"stream_id": "account-1"})
    desk.run(LOG)
    assert not shown(desk, LOG, "no_rejected_lines")
    for _ in range(2):
        pay(desk, "account-1", 5)
        desk.tick()
        assert shown(desk, LOG, "no_rejected_lines") is False
        assert shown(desk, LOG, "fence_lag") is True
    assert desk.tick().asset_events == []
    drop_file(folder, "a.jsonl", line("account-1", 5))
    desk.run(LOG)
    pay(desk, "account-1", 5)
    desk.tick()
    assert shown(desk, LOG, "no_rejected_lines") is True


def test_a_comparison_that_failed_stays_in_sight_until_it_is_made_again(desk):
    pay(desk, "account-1", 5)
    desk.run(ACCOUNTS)
    tamper(desk)
    desk.check(ACCOUNTS, "equals_a_replay")
    desk.tick()
    for _ in range(2):
        pay(desk, "account-2", 5)
        desk.tick()
        desk.obey(MODELS)
        assert shown(desk, ACCOUNTS, "equals_a_replay") is None
        desk.tick()
        assert shown(desk, ACCOUNTS, "equals_a_replay") is False
    desk.run(ACCOUNTS, config={"ops": {"read_models__accounts": {"config": {"rebuild": True}}}})
    desk.check(ACCOUNTS, "equals_a_replay")
    assert shown(desk, ACCOUNTS, "equals_a_replay") is True
    desk.obey(MODELS)
    desk.tick()
    assert shown(desk, ACCOUNTS, "equals_a_replay") is None


def tamper(desk):
    """Changes a row behind the projection's back."""
    build = desk.bench.models.live("accounts")
    with desk.bench.database.begin() as connection:
        statement = f"UPDATE accounts__{build.id} SET balance = 99 WHERE stream = 'account-1'"
        assert connection.exec_driver_sql(statement).rowcount == 1


def test_a_read_model_that_falls_behind_turns_its_check_without_a_run_and_back_again(desk):
    key = dg.AssetCheckKey(ACCOUNTS, "lag")
    pay(desk, "account-1", *range(1, 7))
    turned = [event for event in desk.tick().asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    told = next(event for event in turned if event.asset_check_key == key)
    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert told.description.startswith("6 events behind the log, more than 5")
    assert desk.tick().asset_events == []
    assert not desk.check(ACCOUNTS, "lag").passed
    desk.obey(MODELS)
    back = {event.asset_check_key: event.passed for event in desk.tick().asset_events}
    assert back[key]
    assert desk.instance.get_runs_count() == 2  # the check, and what was obeyed


# Automation


def test_each_read_model_runs_once_when_the_log_has_moved_and_not_again(desk):
    assert desk.automate() == set()
    pay(desk, "account-1", 5)
    assert desk.automate() == set()  # nobody has told yet
    desk.tick()
    assert desk.automate() == MODELS
    assert desk.obey(MODELS).success
    desk.tick()
    assert desk.automate() == desk.automate() == set()
    pay(desk, "account-1", 6)
    desk.tick()
    assert desk.automate() == MODELS


def test_a_run_that_brings_all_in_step_by_itself_is_followed_by_none(desk, folder):
    desk.automate()
    drop_file(folder, "a.jsonl", line("account-1", 5))
    (request,) = desk.tick().run_requests
    assert desk.grant(request).success
    desk.tick()
    assert desk.automate() == desk.automate() == set()


def test_a_log_that_was_taken_in_alone_is_followed(desk, folder):
    desk.automate()
    drop_file(folder, "a.jsonl", line("account-1", 5))
    desk.run(LOG)
    assert desk.automate() == MODELS


def test_events_that_come_while_a_read_model_runs_are_not_forgotten(desk):
    pay(desk, "account-1", 5)
    desk.tick()
    desk.automate()
    desk.obey(MODELS)
    assert desk.automate() == set()
    run = desk.bench.runner.run
    late = iter([6])

    def meanwhile(projection, **options):
        report = run(projection, **options)
        for amount in late:  # after it has looked for the last time, and before it has said that it is done
            pay(desk, "account-1", amount)
            desk.tick()
            assert "read_models/accounts" not in desk.automate()  # it is in progress
        return report

    desk.bench.runner = type("Slow", (), {"run": staticmethod(meanwhile)})()
    assert desk.obey({"read_models/accounts"}).success
    assert "read_models/accounts" in desk.automate()


def test_a_changed_projection_runs_although_nothing_moved(desk, folder, monkeypatch):
    pay(desk, "account-1", 5)
    desk.tick()
    desk.automate()
    desk.obey(MODELS)
    assert desk.automate() == set()
    (folder / "accounts_projection.py").write_text(
        PROJECTION.replace("by_stream", "version = 2\n    by_stream")
    )
    monkeypatch.delitem(sys.modules, "accounts_projection")
    desk.load()
    assert desk.automate() == {"read_models/accounts"}
    assert desk.automate() == set()


def test_a_projection_that_is_added_runs_although_nothing_moved(desk):
    pay(desk, "account-1", 5)
    desk.tick()
    desk.automate()
    desk.obey(MODELS)
    assert desk.automate() == set()
    desk.load(("    tool_usage: {enabled: false}\n", ""))
    assert desk.automate() == {"read_models/tool_usage"}


def test_snapshots_follow_once_an_hour_and_comparisons_once_a_day_where_something_moved(desk):
    noon = datetime(2026, 1, 1, 12, 10, tzinfo=UTC)
    desk.automate(noon)
    pay(desk, "account-1", 5)
    desk.tick()
    assert desk.automate(noon + timedelta(minutes=1)) == MODELS
    desk.obey(MODELS)
    assert desk.automate(noon + timedelta(minutes=51)) == {"snapshots"}
    assert desk.automate(noon + timedelta(minutes=111)) == set()
    night = desk.automate(noon + timedelta(hours=17))
    assert night == {"event_log:versions_are_dense", *(f"{model}:equals_a_replay" for model in MODELS)}
    assert desk.automate(noon + timedelta(hours=41)) == set()


# The checks


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_a_row_that_was_tampered_with_fails_the_comparison_with_a_replay(desk):
    pay(desk, "account-1", 5)
    pay(desk, "account-2", 6)
    desk.run(ACCOUNTS)
    assert desk.check(ACCOUNTS, "equals_a_replay").passed
    tamper(desk)
    verdict = desk.check(ACCOUNTS, "equals_a_replay")
    assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.ERROR)
    (row,) = verdict.metadata["differences"].records
    assert (row.data["key"], row.data["column"]) == ("account-1", "balance")
    assert (row.data["expected"], row.data["found"]) == (5, 99)


def test_the_number_of_events_to_compare_is_chosen_in_the_launchpad(desk):
    for number in range(40):
        pay(desk, f"account-{number}", 1, 2)
    desk.run(ACCOUNTS)
    verdict = desk.check(ACCOUNTS, "equals_a_replay", {"events": 20})
    assert verdict.passed
    assert verdict.metadata["sample"].value.endswith("of 4 of the streams")
    assert 0 < verdict.metadata["events replayed"].value < 80


def test_what_cannot_be_compared_says_so(desk):
    verdict = desk.check(ACCOUNTS, "equals_a_replay")
    assert verdict.passed
    assert verdict.description == "Not compared: it was never built."
    assert verdict.metadata["compared"].value is False


def test_a_stream_that_lost_an_event_is_told_and_a_tombstoned_one_is_not(desk):
    pay(desk, "account-1", 1, 2, 3)
    pay(desk, "account-2", 1, 2)
    desk.bench.store.tombstone("account-2")
    assert desk.check(LOG, "versions_are_dense").passed
    with closing(sqlite3.connect(desk.bench.database.url.database)) as connection, connection:
        connection.execute("DELETE FROM events WHERE stream = 'account-1' AND version = 2")
    verdict = desk.check(LOG, "versions_are_dense")
    assert not verdict.passed
    assert verdict.metadata["holes"].value == {"account-1": "version 2 of 3 missing"}
    again = [event for event in desk.tick().asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    assert [(event.check_name, event.passed) for event in again][-1] == ("versions_are_dense", False)
    assert desk.tick().asset_events == []


@on_postgres
def test_a_transaction_that_stays_open_turns_the_check_of_the_fence(desk):
    desk.load(("lag_warning", "fence_warning: 0\n  lag_warning"))
    assert desk.check(LOG, "fence_lag").passed
    with desk.bench.database.begin() as connection:
        connection.exec_driver_sql("SELECT pg_current_xact_id()")
        pay(desk, "account-1", 5)
        verdict = desk.check(LOG, "fence_lag")
        (told,) = (event for event in desk.tick().asset_events if event.asset_key == LOG)
        assert not verdict.passed
        assert verdict.metadata["lag/events held back"].value == 1
        assert "pg_stat_activity" in verdict.description
        assert (told.check_name, told.passed) == ("fence_lag", False)
    assert desk.check(LOG, "fence_lag").passed


@on_postgres
def test_on_postgres_the_whole_circle_closes(desk, folder):
    desk.automate()
    drop_file(folder, "a.jsonl", line("account-1", 5), line("account-1", 13), line("account-2", 6))
    (request,) = desk.tick().run_requests
    assert desk.grant(request).success
    pay(desk, "account-1", 7)
    desk.tick()
    assert desk.automate() == MODELS
    result = desk.obey(MODELS)
    assert [row.data["balance"] for row in metadata(result, ACCOUNTS)["preview"].records] == [12, 6]
    assert desk.tick().asset_events == []
    assert desk.automate() == set()
    assert desk.check(LOG, "versions_are_dense").passed
    assert desk.check(ACCOUNTS, "equals_a_replay").passed


# Dagster's own runs


def history(desk, run):
    return list(desk.bench.store.read(f"pipeline-dagster-{run.run_id}"))


def statuses(desk, run):
    return [json.loads(event.data).get("status", "Created") for event in history(desk, run)]


def test_a_run_becomes_a_stream_and_the_same_again_records_nothing(desk):
    done = desk.run(LOG)
    assert desk.tick("dagster_runs").skip_reason.skip_message == "3 events recorded."
    assert desk.tick("dagster_runs").skip_reason.skip_message == "0 events recorded."
    desk.cursors.clear()
    assert desk.tick("dagster_runs").skip_reason.skip_message == "0 events recorded."
    created, running, completed = history(desk, done)
    assert json.loads(created.data) == {
        "name": "events",
        "tags": {"kind": "dagster", "job": "events", "launched_by": "a person"},
    }
    assert statuses(desk, done) == ["Created", "Running", "Completed"]
    assert json.loads(completed.data)["numbers"]["seconds"] > 0
    record = desk.instance.get_run_record_by_id(done.run_id)
    assert completed.occurred_at.timestamp() == pytest.approx(record.end_time, abs=1e-3)
    assert created.occurred_at <= running.occurred_at < completed.occurred_at


def test_a_run_is_recorded_as_it_goes_on(desk):
    run = desk.instance.create_run_for_job(desk.defs.resolve_job_def("events"))
    desk.tick("dagster_runs")
    assert statuses(desk, run) == ["Created"]
    desk.instance.report_dagster_event(dg_event(DagsterEventType.RUN_START), run.run_id)
    desk.tick("dagster_runs")
    assert statuses(desk, run) == ["Created", "Running"]
    desk.instance.report_run_canceled(desk.instance.get_run_by_id(run.run_id))
    desk.tick("dagster_runs")
    assert statuses(desk, run) == ["Created", "Running", "Cancelled"]


def dg_event(kind):
    return DagsterEvent(event_type_value=kind.value, job_name="events")


def test_a_run_that_fails_is_recorded_with_the_step_and_the_words_of_our_errors(desk):
    desk.bench.broken = StorageError("the home cannot be written: grant access")
    failed = desk.run(LOG)
    desk.tick("dagster_runs")
    last = json.loads(history(desk, failed)[-1].data)
    assert last["status"] == "Failed"
    assert last["reason"] == "event_log: StorageError: the home cannot be written: grant access"


def test_of_an_error_that_is_not_ours_only_the_class_is_recorded(desk):
    desk.bench.broken = RuntimeError("postgresql://me:hush@host refused")
    failed = desk.run(LOG)
    desk.tick("dagster_runs")
    assert json.loads(history(desk, failed)[-1].data)["reason"] == "event_log: RuntimeError"
    assert all(b"hush" not in event.data for event in history(desk, failed))


def test_what_only_follows_the_log_is_not_recorded_so_that_the_circle_ends(desk):
    desk.automate()
    done = desk.run(LOG)
    for _ in range(3):
        desk.tick("dagster_runs")
        desk.tick()
        if asked := desk.automate():
            assert desk.obey(asked).success
    assert desk.tick().asset_events == []
    assert desk.automate() == set()
    assert desk.tick("dagster_runs").skip_reason.skip_message == "0 events recorded."
    assert statuses(desk, done) == ["Created", "Running", "Completed"]
    assert desk.bench.store.count() == 3


def test_while_the_database_does_not_answer_no_run_is_passed_over(desk, monkeypatch):
    done = desk.run(LOG)

    def down(*_arguments, **_options):
        raise DatabaseUnavailable("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(desk.bench.store), "append", down)
        with pytest.raises(DatabaseUnavailable):
            desk.tick("dagster_runs")
    desk.tick("dagster_runs")
    assert statuses(desk, done) == ["Created", "Running", "Completed"]


def test_a_stream_that_takes_no_event_does_not_keep_the_other_runs_from_being_recorded(desk):
    closed = desk.instance.create_run_for_job(desk.defs.resolve_job_def("events"))
    desk.tick("dagster_runs")
    desk.bench.store.archive(f"pipeline-dagster-{closed.run_id}")
    desk.instance.report_run_canceled(closed)
    done = desk.run(LOG)
    desk.tick("dagster_runs")
    assert statuses(desk, done) == ["Created", "Running", "Completed"]


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_two_that_record_the_same_run_at_once_record_it_once(desk):
    run = desk.run(LOG)
    facts = execution(desk.instance, desk.instance.get_run_record_by_id(run.run_id))
    barrier = threading.Barrier(6)

    def work():
        barrier.wait()
        record(desk.bench.pipelines, facts)

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work) for _ in range(6)]:
            done.result()
    assert statuses(desk, run) == ["Created", "Running", "Completed"]


def test_a_run_that_has_ended_neither_goes_on_nor_ends_otherwise(desk):
    run = desk.run(LOG)
    facts = execution(desk.instance, desk.instance.get_run_record_by_id(run.run_id))
    assert record(desk.bench.pipelines, facts) == 3
    for status in (
        PipelineStatus.RUNNING,
        PipelineStatus.FAILED,
    ):  # a look that was older, a monitor that was wrong
        assert record(desk.bench.pipelines, msgspec.structs.replace(facts, status=status)) == 0
    assert statuses(desk, run) == ["Created", "Running", "Completed"]


def test_many_runs_are_recorded_over_several_ticks(desk, monkeypatch):
    monkeypatch.setattr(runs, "_RUNS", 3)
    made = [desk.instance.create_run_for_job(desk.defs.resolve_job_def("events")) for _ in range(10)]
    for _ in range(4):
        desk.tick("dagster_runs")
    assert all(statuses(desk, run) == ["Created"] for run in made)


# The resource


# Dagster calls a deprecated method of its own for a resource within a resource.
@pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")
@pytest.mark.parametrize("breaks", [False, True])
def test_the_resource_opens_the_database_of_the_environment_and_closes_it(
    folder, instance, url, monkeypatch, breaks
):
    monkeypatch.setenv("PIPELINES_DATABASE_URL", url)
    closed = []

    class Watched(Eventing):
        def __init__(self, settings, exits, *shared):
            super().__init__(settings, exits, *shared)
            exits.callback(closed.append, self)

        def projection(self, name):
            if breaks:
                raise StorageError("the disk is full")
            return super().projection(name)

    monkeypatch.setattr(resources.eventing, "Eventing", Watched)
    defs = build_defs(Settings(home=folder / "home", config=folder / "pipelines.yaml"))
    job = defs.resolve_job_def("events")
    result = job.execute_in_process(instance=instance, asset_selection=[ACCOUNTS], raise_on_error=False)
    assert result.success is not breaks
    (used,) = closed
    assert used.database.url.render_as_string(hide_password=False) == url
