"""The Edge adapter (locks, checks, a flush per batch) against the bare engine, same points."""

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import qdrant_edge as edge

from benchmarks.measure import Figure, compare
from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.records import CollectionSpec, Points

_DIMENSION = 384


def figures(points: int = 5_000, batch: int = 256) -> Iterator[Figure]:
    """Compare bulk writes: the adapter in a session as the engine uses it, and a bare shard that flushes as often."""
    vectors = np.random.default_rng(0).normal(size=(points, _DIMENSION)).astype(np.float32)
    ids = [str(uuid.uuid4()) for _ in range(points)]
    payloads = [{"document": f"d{n % 100}", "text": "word " * 150, "ordinal": n} for n in range(points)]
    slices = [slice(start, start + batch) for start in range(0, points, batch)]

    def adapter() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = EdgeVectorStore(Path(folder))
            store.create("c", CollectionSpec(_DIMENSION))
            with store.session("c"):
                for part in slices:
                    store.upsert("c", Points(ids[part], vectors[part], payloads[part]))
            store.close()

    def bare() -> None:
        with tempfile.TemporaryDirectory() as folder:
            parameters = edge.EdgeVectorParams(size=_DIMENSION, distance=edge.Distance.Cosine)
            shard = edge.EdgeShard.create(folder, edge.EdgeConfig(vectors={"dense": parameters}))
            for part in slices:
                rows = zip(ids[part], vectors[part].tolist(), payloads[part], strict=True)
                new = [edge.Point(name, {"dense": vector}, payload) for name, vector, payload in rows]
                shard.update(edge.UpdateOperation.upsert_points(new))
                shard.flush()
            shard.close()

    yield compare("bulk upsert, adapter : bare Qdrant Edge", adapter, bare, amount=points, unit="points")
