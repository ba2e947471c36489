"""The vector store as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field, SecretStr

from pipelines_persistence.adapters.vector_stores import open_vector_store
from pipelines_persistence.configuration import QdrantConfig
from pipelines_persistence.ports import VectorStore
from pipelines_persistence.resilience import Guards


class VectorStoreResource(dg.ConfigurableResource[VectorStore]):
    """A Qdrant server where a URL is given, else Qdrant Edge, the embedded engine: no server needed."""

    path: str = Field(description="Folder that holds the collections of the embedded engine.")
    url: str = Field(default="", description="URL of a Qdrant server. Give a `dg.EnvVar`.")
    api_key: str = Field(default="", description="What that server wants to see. Give a `dg.EnvVar`.")
    grpc_port: int = Field(default=6334, description="Port of its gRPC, where the URL names none.")
    timeout: float = Field(default=60.0, description="Deadline of each call, in seconds.")
    batch: int = Field(default=128, description="Points of one write.")
    streams: int = Field(default=3, description="Writes that are under way at once.")
    resilience: dg.ResourceDependency[Guards]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[VectorStore]:
        """Hand out the adapter, and close it whatever happens."""
        del context
        config = QdrantConfig(
            grpc_port=self.grpc_port, timeout=self.timeout, batch=self.batch, streams=self.streams
        )
        store = open_vector_store(
            Path(self.path), config, _secret(self.url), _secret(self.api_key), self.resilience["vector_store"]
        )
        try:
            yield store
        finally:
            store.close()


def _secret(value: str) -> SecretStr | None:
    return SecretStr(value) if value else None
