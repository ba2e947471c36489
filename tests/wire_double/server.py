"""The double as an object: starts, stops, starts again on the same port and the same state."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from qdrant_client import grpc as wire

from tests.wire_double import services
from tests.wire_double.engine import Engine
from tests.wire_double.faults import Faults, Gate, from_json

CONTROL = "/wire_double.Control/Do"


class WireDouble:
    """A server on a port of this machine.

    Attributes:
        faults: what goes wrong, and how often each method was called.
        port: of gRPC.
    """

    def __init__(self, state: Path | None = None, *, port: int = 0, api_key: str | None = None) -> None:
        """Start nothing yet.

        Args:
            state: a folder that keeps the collections; by default one that goes away with the object.
            port: 0 for a free one.
            api_key: what callers have to show; None for nothing.
        """
        self._temporary = None if state else tempfile.TemporaryDirectory()
        self._root = state or Path(self._temporary.name)
        self._root.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.faults = Faults()
        self.api_key = api_key
        self._server: grpc.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        self.engine = Engine(self._root)
        self._server = grpc.server(
            ThreadPoolExecutor(32, "wire-double"),
            interceptors=[Gate(self.faults, self.api_key)],
            options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)),
        )
        wire.add_QdrantServicer_to_server(services.Health(self.engine), self._server)
        wire.add_CollectionsServicer_to_server(services.Collections(self.engine), self._server)
        wire.add_PointsServicer_to_server(services.Points(self.engine), self._server)
        wire.add_SnapshotsServicer_to_server(services.Snapshots(self.engine), self._server)
        self._server.add_generic_rpc_handlers((_Control(self.faults),))
        state = health.HealthServicer()
        state.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(state, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        return self

    def stop(self, grace: float | None = None) -> None:
        """Hang up on everybody; calls under way fail, except within `grace` seconds."""
        if self._server:
            self._server.stop(grace).wait()
            self._server = None
            self.engine.close()

    def wait(self) -> None:
        """Serve until somebody stops it."""
        assert self._server
        self._server.wait_for_termination()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.faults.lift()
        self.stop()
        if self._temporary:
            self._temporary.cleanup()


class _Control(grpc.GenericRpcHandler):
    """Plans faults for whoever is in another process; JSON in, JSON out."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self._do) if details.method == CONTROL else None

    def _do(self, request: bytes, _context: object) -> bytes:
        asked = json.loads(request)
        if asked.get("lift"):
            self._faults.lift()
        self._faults.plan(*map(from_json, asked.get("plan", [])))
        return json.dumps({"calls": self._faults.calls}).encode()


def control(port: int, *, plan: list[dict[str, object]] | None = None, lift: bool = False) -> dict[str, int]:
    """Tell a double in another process what goes wrong.

    Args:
        port: its port.
        plan: faults, as mappings of the fields of `Fault`.
        lift: whether those that are planned end first.

    Returns:
        How often each method was called.
    """
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = channel.unary_unary(CONTROL)(
            json.dumps({"plan": plan or [], "lift": lift}).encode(), timeout=10
        )
    calls: dict[str, int] = json.loads(answer)["calls"]
    return calls
