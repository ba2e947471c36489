"""A server on the wire and a store that speaks to it."""

import uuid
from contextlib import closing

import numpy as np
import pytest

from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.records import CollectionSpec, Points
from tests.wire_double import WireDouble

SPEC = CollectionSpec(dimension=4, payload_indexes={"word": "keyword"})


@pytest.fixture
def double(tmp_path):
    with WireDouble(tmp_path / "server") as double:
        yield double


@pytest.fixture
def store(double):
    with closing(QdrantServerStore(double.url, timeout=10)) as store:
        yield store


@pytest.fixture
def filled(store):
    """Return the store with a collection `docs` of three points."""
    store.create("docs", SPEC)
    store.upsert("docs", some_points(3))
    return store


def some_points(count: int) -> Points:
    vectors = np.random.default_rng(1).standard_normal((count, 4)).astype(np.float32)
    ids = [str(uuid.UUID(int=number + 1)) for number in range(count)]
    return Points(ids, vectors, [{"number": number} for number in range(count)])
