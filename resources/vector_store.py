"""The vector store as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.ports import VectorStore


class VectorStoreResource(dg.ConfigurableResource[VectorStore]):
    """Qdrant Edge, the embedded engine: no server needed."""

    path: str = Field(description="Folder that holds the collections.")
    lock_timeout: float = Field(
        default=60.0, description="Seconds to wait for another process to finish a write."
    )

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[VectorStore]:
        """Hand out the adapter, and close it whatever happens."""
        del context
        store = EdgeVectorStore(Path(self.path), lock_timeout=self.lock_timeout)
        try:
            yield store
        finally:
            store.close()
