"""The model of a Qdrant server; its URL and its key come from the environment."""

from pydantic import Field

from pipelines_persistence.configuration.model import Model


class QdrantConfig(Model):
    """How a Qdrant server is spoken to. Without `PIPELINES_QDRANT_URL` the embedded engine is used, and none of this matters."""

    grpc_port: int = Field(default=6334, ge=1, le=65_535)
    """Port of gRPC, which everything goes through, where the URL names none, or 6333, which is that of REST."""

    timeout: float = Field(default=60.0, gt=0)
    """The deadline of each call, in seconds."""

    batch: int = Field(default=128, ge=1, le=10_000)
    """Points of one write."""

    streams: int = Field(default=3, ge=1, le=16)
    """Writes that are under way at once."""
