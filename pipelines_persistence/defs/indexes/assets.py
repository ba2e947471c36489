"""Per index: what is outside, the plan, the index. Glue between the engine and Dagster, no more."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import dagster as dg

from pipelines_persistence.configuration import IndexConfig
from pipelines_persistence.defs.indexes.checks import check_index, check_plan, index_checks, plan_checks
from pipelines_persistence.defs.indexes.presentation import report_metadata, sample_search
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

    approve_deletions: int = 0
    """Let up to this many deletions pass the deletion guard."""


def group_of(index: str) -> str:
    """Return the asset group of an index; Dagster allows no '-' there."""
    return index.replace("-", "_")


def source_specs(index: str, settings: IndexConfig) -> list[dg.AssetSpec]:
    """Return what lies outside: the sources of an index, so that the graph shows where documents come from."""
    return [
        dg.AssetSpec(
            [index, "sources", source.name],
            group_name=group_of(index),
            description=f"Documents at `{source.uri}`.",
            metadata={"uri": source.uri, "include": list(source.include), "exclude": list(source.exclude)},
            kinds={"file"},
        )
        for source in settings.sources
    ]


def index_assets(index: str, settings: IndexConfig) -> list[dg.AssetsDefinition]:
    """Return the assets `plan` and `index` of one index."""
    common: dict[str, Any] = {
        "group_name": group_of(index),
        "owners": list(settings.owners) or None,
        "code_version": code_version(settings),
    }

    @dg.asset(
        key=[index, "plan"],
        deps=[spec.key for spec in source_specs(index, settings)],
        check_specs=plan_checks(index),
        description=f"What would change in the index `{index}`, and what it would cost. Embeds and writes nothing.",
        kinds={"python"},
        **common,
    )
    def plan(context: dg.AssetExecutionContext, indexing: dg.ResourceParam[Indexing]) -> dg.MaterializeResult:
        engine = indexing.engine(index, settings)
        report = supervised(context, engine.plan)
        return dg.MaterializeResult(metadata=report_metadata(report), check_results=check_plan(index, report))

    @dg.asset(
        key=[index, "index"],
        deps=[plan],
        check_specs=index_checks(index),
        description=f"{settings.description or f'The index `{index}`.'}\n\n"
        f"Chunked, embedded and written to Qdrant; ask it with `pipelines search --index {index} QUESTION`.",
        kinds={"qdrant", _kind(settings)},
        pool=f"index_{group_of(index)}",
        **common,
    )
    def ingest(
        context: dg.AssetExecutionContext, config: IngestOptions, indexing: dg.ResourceParam[Indexing]
    ) -> dg.MaterializeResult:
        engine = indexing.engine(index, settings)
        report = supervised(context, partial(engine.ingest, approve_deletions=config.approve_deletions))
        version = engine.content_version()
        return dg.MaterializeResult(
            metadata={**report_metadata(report), **_sample(indexing, index, settings)},
            data_version=dg.DataVersion(version) if version else None,
            check_results=check_index(index, report),
        )

    return [plan, ingest]


def code_version(settings: IndexConfig) -> str:
    """Return a hash of what the configuration says about how a point looks: a change shows as stale in the UI."""
    parts = settings.model_dump(mode="json", include={"chunking", "embedding"})
    return value_hash({**parts, "distance": settings.collection.distance})[:12]


def _kind(settings: IndexConfig) -> str:
    backend = settings.embedding.backend
    return "python" if ":" in backend else backend.replace("sentence-transformers", "huggingface")


def _sample(indexing: Indexing, index: str, settings: IndexConfig) -> Mapping[str, dg.MetadataValue]:
    try:
        return sample_search(settings.sample_query, indexing.searcher.search(settings.sample_query, index))
    except IndexNotFound:  # a first generation that was not promoted
        return {}
