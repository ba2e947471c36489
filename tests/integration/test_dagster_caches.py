"""The assets that keep caches in step, over real files and a real Redis."""

import dagster as dg
import pytest
from pydantic import SecretStr

from pipelines_persistence.definitions import build_defs
from pipelines_persistence.defs.events.naming import FOLLOWS
from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")

PIPELINES = """
indexes:
  handbook:
    sources: [{name: pages, uri: docs}]
    embedding: {backend: hash}
    warm_queries: ["How do I ask for holidays?", "Where do receipts go?"]
events: {inbox: [inbox]}
"""
KEY = dg.AssetKey(["caches", "handbook"])


@pytest.fixture
def settings(tmp_path, redis_url, monkeypatch):
    for name in ("docs", "inbox"):
        (tmp_path / name).mkdir()
    (tmp_path / "docs" / "holidays.md").write_text("# Holidays\n\nAsk for holidays two weeks before.\n")
    (tmp_path / "inbox" / "orders.jsonl").write_text(
        '{"stream_id": "o-1", "event_type": "Placed", "timestamp": "2026-01-01T00:00:00Z", "data": {}}\n'
    )
    prefix = f"{tmp_path.name}:"
    (tmp_path / "pipelines.yaml").write_text(f"{PIPELINES}cache: {{prefix: '{prefix}', timeout: 5}}\n")
    monkeypatch.setenv("PIPELINES_REDIS_URL", redis_url)
    return Settings(
        home=tmp_path / "home", config=tmp_path / "pipelines.yaml", redis_url=SecretStr(redis_url)
    )


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def materialize(settings, instance, *keys):
    job = build_defs(settings).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(list(key)) for key in keys])


def metadata(result, *key):
    (event,) = result.get_asset_materialization_events()
    assert event.asset_key == dg.AssetKey(list(key))
    return {
        name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
    }


def test_answers_are_warmed_and_other_processes_find_them(settings, instance):
    assert materialize(settings, instance, ("handbook", "plan"), ("handbook", "index")).success
    shown = metadata(materialize(settings, instance, ("caches", "handbook")), "caches", "handbook")
    assert (shown["questions"], shown["hits"], shown["backend"], shown["shared"]) == (2, 2, "redis", "up")
    with Platform(settings) as elsewhere:
        (hit,) = elsewhere.searcher.search("Where do receipts go?", "handbook")
        assert hit.payload["document"] == "holidays.md"
        assert elsewhere.cache.state().namespaces["search"].shared_hits == 1


def test_the_hit_rate_is_that_of_all_processes(settings, instance):
    materialize(settings, instance, ("handbook", "plan"), ("handbook", "index"))
    materialize(settings, instance, ("caches", "handbook"))
    with Platform(settings) as elsewhere:
        for _ in range(8):
            elsewhere.searcher.search("Where do receipts go?", "handbook")
    shown = metadata(materialize(settings, instance, ("caches", "handbook")), "caches", "handbook")
    # Two of the run that warmed and one of the sample search were loads; eight elsewhere and two of this run were hits.
    assert shown["hit rate/searches"] == pytest.approx(10 / 13, abs=1e-4)


def test_a_run_that_writes_makes_old_answers_unreachable(settings, instance):
    materialize(settings, instance, ("handbook", "plan"), ("handbook", "index"))
    materialize(settings, instance, ("caches", "handbook"))
    (settings.config.parent / "docs" / "receipts.md").write_text("# Receipts\n\nReceipts go to the office.\n")
    materialize(settings, instance, ("handbook", "plan"), ("handbook", "index"))
    with Platform(settings) as elsewhere:
        hits = elsewhere.searcher.search("Where do receipts go?", "handbook")
    assert {hit.payload["document"] for hit in hits} == {"holidays.md", "receipts.md"}


def test_read_models_are_warmed_after_projections(settings, instance):
    names = [key.path for key in build_defs(settings).resolve_asset_graph().get_all_asset_keys()]
    models = [path for path in names if path[0] == "read_models"]
    assert materialize(settings, instance, ("event_log",), *models).success
    shown = metadata(materialize(settings, instance, ("caches", "read_models")), "caches", "read_models")
    assert (shown["pages"], shown["rows"] > 0) == (len(models), True)
    with Platform(settings) as elsewhere:
        assert [row.type for row in elsewhere.eventing.read_model("event_type_counts").find().items] == [
            "Placed"
        ]
        assert elsewhere.cache.state().namespaces["read-event_type_counts"].shared_hits == 1


def test_a_cache_that_is_down_fails_no_run(settings, instance, monkeypatch):
    monkeypatch.setenv("PIPELINES_REDIS_URL", "redis://127.0.0.1:1/0")
    materialize(settings, instance, ("handbook", "plan"), ("handbook", "index"))
    shown = metadata(materialize(settings, instance, ("caches", "handbook")), "caches", "handbook")
    assert (shown["hits"], shown["shared"]) == (2, "down")


def test_no_run_that_starts_by_itself_is_news_that_starts_it_again(settings):
    defs = build_defs(settings)
    sensors = [one for one in defs.sensors if isinstance(one, dg.AutomationConditionSensorDefinition)]
    assert {sensor.name for sensor in sensors} == {"follow_events", "follow_caches"}
    assert all(FOLLOWS in sensor.run_tags for sensor in sensors)
    assert FOLLOWS in defs.resolve_job_def("observe_dependencies").tags
