"""The ingestion engine as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from pipelines_persistence.caching import Cache
from pipelines_persistence.platform import Platform
from pipelines_persistence.ports import VectorStore
from pipelines_persistence.resilience import Guards
from pipelines_persistence.settings import Settings


class IndexingResource(dg.ConfigurableResource[Platform]):
    """Engines for the configured indexes, over the vector store resource and the ledger in the home."""

    home: str = Field(description="Folder that holds the ledger and the locks.")
    config: str = Field(description="The pipelines.yaml; relative source paths start at its folder.")
    vector_store: dg.ResourceDependency[VectorStore]
    resilience: dg.ResourceDependency[Guards]
    cache: dg.ResourceDependency[Cache]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Platform]:
        """Hand out the platform, and close what it opened."""
        del context
        settings = Settings(home=Path(self.home), config=Path(self.config))
        with Platform(
            settings, store=self.vector_store, guards=self.resilience, cache=self.cache
        ) as platform:
            yield platform
