"""The adapters that the contract suites run against."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.ports import VectorStore
from tests.contract.prefixed import Prefixed
from tests.wire_double import WireDouble


def _edge(root: Path) -> AbstractContextManager[VectorStore]:
    return closing(EdgeVectorStore(root))


@contextmanager
def _wire(root: Path) -> Iterator[VectorStore]:
    with WireDouble(root) as double, closing(QdrantServerStore(double.url, timeout=10)) as store:
        yield store


@contextmanager
def _server(_: Path) -> Iterator[VectorStore]:
    key = os.environ.get("QDRANT_API_KEY")
    with closing(QdrantServerStore(os.environ["QDRANT_URL"], key, timeout=30)) as server:
        store = Prefixed(server, f"contract-{uuid.uuid4().hex[:12]}-")
        try:
            yield store
        finally:
            store.remove_everything()


VECTOR_STORES: dict[str, Callable[[Path], AbstractContextManager[VectorStore]]] = {
    "edge": _edge,
    "wire": _wire,
}
if os.environ.get("QDRANT_URL"):
    VECTOR_STORES["server"] = _server


@pytest.fixture(params=VECTOR_STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    """Return an empty vector store of each kind."""
    with VECTOR_STORES[request.param](tmp_path / "store") as store:
        yield store
