"""One asset that warms the answers of each index, and one for those of the read models. Glue, no more."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import dagster as dg

from pipelines_persistence.caching import Cache
from pipelines_persistence.configuration import IndexConfig
from pipelines_persistence.defs.caches.presentation import cache_metadata
from pipelines_persistence.defs.events.naming import FOLLOWS, read_model
from pipelines_persistence.defs.indexes.naming import group_of
from pipelines_persistence.defs.supervision import supervising
from pipelines_persistence.records import Hit
from pipelines_persistence.repositories import Reader

GROUP = "caches"
READ_MODELS = dg.AssetKey([GROUP, "read_models"])
SENSOR = "follow_caches"
TICK = 30
"""Seconds between two looks of the sensor, at least."""

_WARMED = (
    "A search or a look that was asked before is answered from the cache, and never with what was before the last run: keys "
    "hold the generation and the run, or the build and its checkpoint. This asset asks first, so that nobody has to wait."
)


class Searching(Protocol):
    """Searches, through the cache."""

    def search(self, query: str, index: str) -> list[Hit]:
        """Return the chunks nearest to a question."""


class Indexing(Protocol):
    """Indexes, and the cache before them."""

    @property
    def cache(self) -> Cache:
        """What keeps answers."""

    @property
    def searcher(self) -> Searching:
        """Searches any index."""


class Events(Protocol):
    """Read models, and the cache before them."""

    @property
    def cache(self) -> Cache:
        """What keeps answers."""

    def read_model(self, name: str) -> Reader[Any]:
        """Return the main rows of a read model.

        Raises:
            ConfigurationError: it was never built.
        """


def index_cache(index: str, settings: IndexConfig) -> dg.AssetsDefinition:
    """Return the asset that asks an index what is asked most, after each run and each promotion."""
    questions = settings.warm_queries or (settings.sample_query,)

    @dg.asset(
        key=[GROUP, group_of(index)],
        deps=[dg.AssetKey([index, "index"])],
        group_name=GROUP,
        kinds={"cache"},
        description=f"Answers of the index `{index}`: {len(questions)} questions, `warm_queries` in pipelines.yaml.\n\n{_WARMED}",
        automation_condition=when_moved(),
    )
    def warm(context: dg.AssetExecutionContext, indexing: dg.ResourceParam[Indexing]) -> dg.MaterializeResult:
        with supervising(context, str):
            searcher = indexing.searcher
            hits = sum(len(searcher.search(question, index)) for question in questions)
            return dg.MaterializeResult(
                metadata={
                    "questions": len(questions),
                    "hits": hits,
                    **cache_metadata(indexing.cache),
                }
            )

    return warm


def read_models_cache(names: Sequence[str]) -> dg.AssetsDefinition:
    """Return the asset that asks each read model for its first page, after projections have run."""

    @dg.asset(
        key=READ_MODELS,
        deps=[read_model(name) for name in names],
        group_name=GROUP,
        kinds={"cache"},
        description=f"First pages of the read models.\n\n{_WARMED}",
        automation_condition=when_moved(),
    )
    def warm(context: dg.AssetExecutionContext, eventing: dg.ResourceParam[Events]) -> dg.MaterializeResult:
        with supervising(context, str):
            rows = _first_pages(eventing.read_model, names)
            return dg.MaterializeResult(
                metadata={"pages": len(names), "rows": rows, **cache_metadata(eventing.cache)}
            )

    return warm


def when_moved() -> dg.AutomationCondition:
    """Return the condition of a cache: once when what it holds has moved and is all there."""
    condition = dg.AutomationCondition
    handled = condition.newly_requested() | condition.newly_updated()
    moved = condition.any_deps_match(condition.data_version_changed()).since(handled)
    ready = ~condition.any_deps_missing() & ~condition.any_deps_in_progress() & ~condition.in_progress()
    return (moved & ready).with_label("what it holds has moved")


def cache_definitions(indexes: dict[str, IndexConfig], projections: Sequence[str]) -> dg.Definitions:
    """Return the definitions of caches, and the sensor that runs them; opens nothing."""
    assets = [*(index_cache(name, settings) for name, settings in indexes.items())]
    if projections:
        assets.append(read_models_cache(projections))
    sensor = dg.AutomationConditionSensorDefinition(
        SENSOR,
        target=dg.AssetSelection.groups(GROUP),
        run_tags={FOLLOWS: "true"},
        minimum_interval_seconds=TICK,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Warms the caches when an index or a read model has moved.",
    )
    return dg.Definitions(assets=assets, sensors=[sensor] if assets else [])


def _first_pages(reader_of: Callable[[str], Reader[Any]], names: Sequence[str]) -> int:
    return sum(len(reader_of(name).find().items) for name in names)
