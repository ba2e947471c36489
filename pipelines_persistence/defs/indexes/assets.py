"""Per index: what is outside, the plan, the index. Glue between the engine and Dagster, no more."""

from collections.abc import Mapping
from typing import Any, Protocol

import dagster as dg
from pydantic import Field

from pipelines_persistence.configuration import IndexConfig
from pipelines_persistence.defs.indexes.checks import check_index, check_plan, index_checks, plan_checks
from pipelines_persistence.defs.indexes.descriptions import describe_index, describe_plan, describe_source
from pipelines_persistence.defs.indexes.naming import group_of, pool_of, source_kind, vectors_kind
from pipelines_persistence.defs.indexes.presentation import ingest_metadata, plan_metadata, sample_search
from pipelines_persistence.defs.supervision import supervised
from pipelines_persistence.errors import IndexNotFound
from pipelines_persistence.ingestion.engine import IndexEngine
from pipelines_persistence.ingestion.identity import value_hash
from pipelines_persistence.retrieval.search import Searcher


class Indexing(Protocol):
    """What the assets need: engines and a searcher, over whatever adapters are configured."""

    @property
    def searcher(self) -> Searcher:
        """Searches any index."""

    def engine(self, name: str, config: IndexConfig) -> IndexEngine:
        """Return the engine of an index."""


class IngestOptions(dg.Config):
    """What a person may decide for one run, in the launchpad."""

    approve_deletions: int = Field(
        default=0,
        ge=0,
        description="Let up to this many deletions pass the deletion guard, in this run only. "
        "The check `nothing_withheld` of the run before says how many wait.",
    )
    take_over: bool = Field(
        default=False,
        description="Take the index's alias in a shared vector store from another home that has an index of the same name.",
    )


def source_specs(index: str, settings: IndexConfig) -> list[dg.AssetSpec]:
    """Return what lies outside: the sources of an index, so that the graph shows where documents come from."""
    return [
        dg.AssetSpec(
            [index, "sources", source.name],
            group_name=group_of(index),
            owners=list(settings.owners),
            description=describe_source(source),
            metadata={"uri": source.uri, "include": list(source.include), "exclude": list(source.exclude)},
            kinds={source_kind(source)},
        )
        for source in settings.sources
    ]


def index_assets(index: str, settings: IndexConfig) -> list[dg.AssetsDefinition]:
    """Return the assets `plan` and `index` of one index."""
    common: dict[str, Any] = {
        "group_name": group_of(index),
        "owners": list(settings.owners),
        "code_version": code_version(settings),
    }

    @dg.asset(
        key=[index, "plan"],
        deps=[spec.key for spec in source_specs(index, settings)],
        check_specs=plan_checks(index),
        description=describe_plan(index),
        kinds={"python"},
        **common,
    )
    def plan(context: dg.AssetExecutionContext, indexing: dg.ResourceParam[Indexing]) -> dg.MaterializeResult:
        with supervised(context) as notify:
            engine = indexing.engine(index, settings)
            report = engine.plan(notify)
            # What a point looks like, and not what was found: the index is out of date only by a new configuration.
            version = dg.DataVersion(engine.fingerprint)
        return dg.MaterializeResult(
            metadata=plan_metadata(report), data_version=version, check_results=check_plan(index, report)
        )

    @dg.asset(
        key=[index, "index"],
        deps=[plan],
        check_specs=index_checks(index),
        description=describe_index(index, settings),
        kinds={"qdrant", vectors_kind(settings)},
        pool=pool_of(index),
        **common,
    )
    def ingest(
        context: dg.AssetExecutionContext, config: IngestOptions, indexing: dg.ResourceParam[Indexing]
    ) -> dg.MaterializeResult:
        with supervised(context) as notify:
            engine = indexing.engine(index, settings)
            report = engine.ingest(
                notify, approve_deletions=config.approve_deletions, take_over=config.take_over
            )
            version = engine.content_version()
            sample = _sample(indexing, index, settings)
        return dg.MaterializeResult(
            metadata=ingest_metadata(report, sample),
            data_version=dg.DataVersion(version) if version else None,
            check_results=check_index(index, report),
        )

    return [plan, ingest]


def code_version(settings: IndexConfig) -> str:
    """Return a hash of what the configuration says about how a point looks: a change shows as stale in the UI."""
    parts = settings.model_dump(mode="json", include={"chunking", "embedding"})
    return value_hash({**parts, "distance": settings.collection.distance})[:12]


def _sample(indexing: Indexing, index: str, settings: IndexConfig) -> Mapping[str, dg.MetadataValue]:
    try:
        return sample_search(settings.sample_query, indexing.searcher.search(settings.sample_query, index))
    except IndexNotFound:  # a first generation that was not promoted
        return {}
