"""What a client spends on a bulk write: our server adapter against qdrant-client, to a server that discards bytes.

The same points, batches of the same size, gRPC on all sides, every write waited for. Ours checks each vector and payload
first, which the others do not; that is part of the time.
"""

import os
import resource
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.measure import Figure, compare, seconds
from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.records import Points

_DIMENSION = 384
_BATCH = 128


def settings() -> list[str]:
    """Say what is measured."""
    return [
        f"{_DIMENSION} dimensions, payloads of four fields, batches of {_BATCH}, wait=True, one process;",
        "'CPU' is the processor time of the client alone, the rest is the time that passes.",
    ]


def figures(points: int = 20_000) -> Iterator[Figure]:
    """Compare with `upload_collection` and `upsert`, by the clock and by processor time."""
    from qdrant_client import QdrantClient, models

    vectors = np.random.default_rng(0).normal(size=(points, _DIMENSION)).astype(np.float32)
    ids = [str(uuid.uuid4()) for _ in range(points)]
    payloads = [
        {"document": f"d{n % 100}", "ordinal": n, "text": "word " * 20, "tags": ["a", "b"]}
        for n in range(points)
    ]
    with _sink() as port:
        store = QdrantServerStore(f"http://127.0.0.1:{port}", batch=_BATCH, streams=3)
        client = QdrantClient(
            "127.0.0.1", grpc_port=port, prefer_grpc=True, timeout=60, check_compatibility=False
        )

        def ours() -> None:
            store.upsert("docs", Points(ids, vectors, payloads))

        def uploaded() -> None:
            client.upload_collection(
                "docs", {"dense": vectors}, payloads, ids, batch_size=_BATCH, wait=True, parallel=1
            )

        def upserted() -> None:
            for start in range(0, points, _BATCH):
                part = slice(start, start + _BATCH)
                rows = zip(ids[part], vectors[part].tolist(), payloads[part], strict=True)
                batch = [models.PointStruct(id=i, vector={"dense": v}, payload=p) for i, v, p in rows]
                client.upsert("docs", batch, wait=True)

        for name, theirs, floor in (("upload_collection", uploaded, 1.05), ("upsert", upserted, 1.5)):
            title = f"bulk upsert over gRPC, ours : qdrant-client {name}"
            yield compare(title, ours, theirs, amount=points, unit="points")
            yield compare(
                f"{title}, CPU", ours, theirs, amount=points, unit="points", floor=floor, timed=_processor
            )
        store.close()
        client.close()


def _processor(work: Callable[[], object]) -> float:
    """Return the processor time of this process, in seconds, for all its threads."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    seconds(work)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def _sink() -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.upsert_sink", str(_DIMENSION)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as server:
        assert server.stdout
        assert server.stdin
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
