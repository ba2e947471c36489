"""Joins the definitions and the resources: what the Dagster code location loads."""

from typing import Any

import dagster as dg
from pydantic import SecretStr

from pipelines_persistence.defs.caches.assets import cache_definitions
from pipelines_persistence.defs.events.definitions import event_definitions
from pipelines_persistence.defs.events.naming import database_kind
from pipelines_persistence.defs.health.definitions import health_definitions
from pipelines_persistence.defs.indexes.assets import index_assets, source_specs
from pipelines_persistence.defs.indexes.automation import ingest_job, ingest_schedule
from pipelines_persistence.projections.catalog import configured_projections
from pipelines_persistence.settings import Settings
from resources.caching import CacheResource
from resources.eventing import EventingResource
from resources.health import HealthResource
from resources.indexing import IndexingResource
from resources.resilience import ResilienceResource
from resources.vector_store import VectorStoreResource


def build_defs(settings: Settings | None = None, **resource_overrides: Any) -> dg.Definitions:  # noqa: ANN401 - any resource
    """Return all definitions.

    Args:
        settings: where things are; by default from the environment.
        resource_overrides: resources to use in place of the default ones, by name.

    Raises:
        ConfigurationError: `pipelines.yaml` is wrong; the UI shows the message when it loads the code location.
    """
    settings = settings or Settings()
    indexes = settings.pipelines.indexes
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
    for name, index in indexes.items():
        assets += source_specs(name, index)
        assets += index_assets(name, index)
    own = dg.Definitions(
        assets=assets,
        jobs=[ingest_job(name) for name in indexes],
        schedules=[schedule for name, index in indexes.items() for schedule in ingest_schedule(name, index)],
        resources=_resources(settings, resource_overrides),
        executor=dg.in_process_executor,
    )
    database = settings.database_url.get_secret_value() if settings.database_url else ""
    names = list(configured_projections(settings.pipelines.events))
    return dg.Definitions.merge(
        own,
        event_definitions(settings.pipelines.events, database),
        cache_definitions(indexes, names),
        health_definitions(
            settings.pipelines,
            database_kind=database_kind(database),
            vector_store_kind="qdrant",
            shared_cache=_has_shared_cache(settings),
        ),
    )


def _has_shared_cache(settings: Settings) -> bool:
    backend = settings.pipelines.cache.backend
    return backend in {"redis", "valkey"} or (backend == "auto" and settings.redis_url is not None)


def _resources(settings: Settings, overrides: dict[str, Any]) -> dict[str, Any]:
    home, config = str(settings.home.expanduser().absolute()), str(settings.config.absolute())
    # An override takes effect in the resources that are built on it, too.
    resilience = overrides.get("resilience", ResilienceResource(config=config))
    vector_store = overrides.get("vector_store", _vector_store(settings, home, resilience))
    cache = overrides.get("cache", _cache(settings, home, config, resilience))
    indexing = overrides.get(
        "indexing",
        IndexingResource(
            home=home, config=config, vector_store=vector_store, resilience=resilience, cache=cache
        ),
    )
    eventing = EventingResource(
        home=home,
        config=config,
        database_url=_named("PIPELINES_DATABASE_URL", settings.database_url),
        resilience=resilience,
        cache=cache,
    )
    return {
        "resilience": resilience,
        "cache": cache,
        "vector_store": vector_store,
        "indexing": indexing,
        "eventing": eventing,
        "health": HealthResource(platform=indexing),
        **overrides,
    }


def _vector_store(settings: Settings, home: str, resilience: ResilienceResource) -> VectorStoreResource:
    return VectorStoreResource(
        path=f"{home}/qdrant",
        url=_named("PIPELINES_QDRANT_URL", settings.qdrant_url),
        api_key=_named("PIPELINES_QDRANT_API_KEY", settings.qdrant_api_key),
        resilience=resilience,
        **settings.configuration.qdrant.model_dump(),
    )


def _cache(settings: Settings, home: str, config: str, resilience: ResilienceResource) -> CacheResource:
    return CacheResource(
        home=home,
        config=config,
        redis_url=_named("PIPELINES_REDIS_URL", settings.redis_url),
        resilience=resilience,
    )


def _named(variable: str, value: SecretStr | None) -> Any:  # noqa: ANN401 - text for Dagster
    """Give a secret by the name of its variable, so that nobody sees it in the UI."""
    return dg.EnvVar(variable) if value else ""


defs = build_defs()
