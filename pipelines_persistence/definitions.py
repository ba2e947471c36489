"""Joins the definitions and the resources: what the Dagster code location loads."""

from typing import Any

import dagster as dg

from pipelines_persistence.defs.events.definitions import event_definitions
from pipelines_persistence.defs.indexes.assets import index_assets, source_specs
from pipelines_persistence.defs.indexes.automation import ingest_job, ingest_schedule
from pipelines_persistence.settings import Settings
from resources.eventing import EventingResource
from resources.indexing import IndexingResource
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
    return dg.Definitions.merge(own, event_definitions(settings.pipelines.events, database))


def _resources(settings: Settings, overrides: dict[str, Any]) -> dict[str, Any]:
    home = settings.home.expanduser().absolute()
    # An override takes effect in the resources that are built on it, too.
    vector_store = overrides.get("vector_store", VectorStoreResource(path=str(home / "qdrant")))
    config = str(settings.config.absolute())
    # By its name, so that nobody sees the password in the UI.
    database_url = dg.EnvVar("PIPELINES_DATABASE_URL") if settings.database_url else ""
    return {
        "vector_store": vector_store,
        "indexing": IndexingResource(home=str(home), config=config, vector_store=vector_store),
        "eventing": EventingResource(home=str(home), config=config, database_url=database_url),
        **overrides,
    }


defs = build_defs()
