"""The cache as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from pipelines_persistence.adapters.caching import open_cache
from pipelines_persistence.caching import Cache
from pipelines_persistence.resilience import Guards
from pipelines_persistence.settings import Settings


class CacheResource(dg.ConfigurableResource[Cache]):
    """The cache that `pipelines.yaml` configures: of this process, or shared through Redis or Valkey."""

    home: str = Field(description="Folder that holds the files of an embedded server.")
    config: str = Field(description="The pipelines.yaml, whose key `cache` is read.")
    redis_url: str = Field(default="", description="URL of a shared server. Give a `dg.EnvVar`.")
    resilience: dg.ResourceDependency[Guards]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Cache]:
        """Hand out the cache, and close it whatever happens. No server is asked before it is used."""
        del context
        config = Settings(config=Path(self.config)).configuration.cache
        cache = open_cache(config, Path(self.home), self.redis_url or None, self.resilience["cache"])
        try:
            yield cache
        finally:
            cache.close()
