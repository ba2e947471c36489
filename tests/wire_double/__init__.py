"""A server that speaks Qdrant's gRPC interface, with the real engine (Qdrant Edge) behind it, and fails on demand.

In tests: `with WireDouble() as double: QdrantServerStore(double.url)`; `double.faults` says what goes wrong. As a program, for other
processes: `python -m tests.wire_double --port 6334 --state DIR`, told what goes wrong by `control`.
"""

from tests.wire_double.faults import Fault, Faults
from tests.wire_double.proxy import Proxy
from tests.wire_double.server import WireDouble, control

__all__ = ["Fault", "Faults", "Proxy", "WireDouble", "control"]
