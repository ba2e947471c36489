"""Which vector store: a Qdrant server where a URL is given, else the engine in this process."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.configuration import QdrantConfig

if TYPE_CHECKING:
    from pydantic import SecretStr

    from pipelines_persistence.ports import VectorStore
    from pipelines_persistence.resilience import Guard


def open_vector_store(
    folder: Path, config: QdrantConfig, url: "SecretStr | None", api_key: "SecretStr | None", guard: "Guard"
) -> "VectorStore":
    """Return the store; nothing is read and nobody is called yet.

    Args:
        folder: holds the collections of the embedded engine.
        config: how a server is spoken to.
        url: of the server; it may hold a password.
        api_key: what the server wants to see.
        guard: every call to a server goes through it.

    Raises:
        ConfigurationError: the URL is none.
    """
    if url is None:
        return EdgeVectorStore(folder)
    return QdrantServerStore(
        url.get_secret_value(),
        api_key.get_secret_value() if api_key else None,
        grpc_port=config.grpc_port,
        timeout=config.timeout,
        batch=config.batch,
        streams=config.streams,
        guard=guard,
    )
