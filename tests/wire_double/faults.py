"""What goes wrong, on demand: an interceptor in front of the services, and a plan that tests write."""

import time
from dataclasses import asdict, dataclass, replace
from threading import Event, Lock

import grpc

from pipelines_persistence.adapters.qdrant_server.methods import response_type

WRITES = ("Points/Upsert", "Points/Delete", "Points/UpdateBatch", "Collections/Create", "Snapshots/Create")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to calls.

    Attributes:
        method: such as "Points/Upsert", or the start of it, such as "Points/"; "" for every call.
        calls: how many calls it happens to; None for every one until it is lifted.
        skip: how many calls pass before.
        every: it happens to each n-th call of those: 2 is flapping.
        status: the name of the status they fail with, such as "UNAVAILABLE"; "" for none.
        details: the sentence beside it.
        retry_after: seconds, in the trailing metadata; None for none.
        applied: the call is carried out, and only then fails: its acknowledgement is lost.
        delay: seconds before the call goes on.
        ignored: the call is acknowledged and not carried out.
        hangs: the call is not answered until the fault is lifted or the caller gives up.
    """

    method: str = ""
    calls: int | None = None
    skip: int = 0
    every: int = 1
    status: str = ""
    details: str = "injected"
    retry_after: float | None = None
    applied: bool = False
    delay: float = 0.0
    ignored: bool = False
    hangs: bool = False

    def is_about(self, method: str) -> bool:
        return method.startswith(self.method)


FULL_DISK = tuple(
    Fault(method, status="INTERNAL", details="Service internal error: No space left on device (os error 28)")
    for method in WRITES
)
"""Nothing can be written any more; what is there can be read."""


class Faults:
    """The plan. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._planned: list[Fault] = []
        self._seen: dict[int, int] = {}
        self._lifted = Event()
        self.calls: dict[str, int] = {}

    def plan(self, *faults: Fault) -> None:
        """Let these happen from now on, beside those that are planned."""
        with self._lock:
            self._planned += faults

    def lift(self) -> None:
        """Let everything be well again; calls that hang go on."""
        with self._lock:
            self._planned, self._seen = [], {}
            lifted, self._lifted = self._lifted, Event()
        lifted.set()

    def forget_calls(self) -> None:
        with self._lock:
            self.calls = {}

    def met(self, method: str) -> tuple[list[Fault], Event]:
        """Count a call, and return what happens to it."""
        with self._lock:
            self.calls[method] = self.calls.get(method, 0) + 1
            return [
                fault for place, fault in enumerate(self._planned) if self._happens(place, fault, method)
            ], (self._lifted)

    def _happens(self, place: int, fault: Fault, method: str) -> bool:
        if not fault.is_about(method):
            return False
        number = self._seen.get(place, 0)
        self._seen[place] = number + 1
        number -= fault.skip
        is_turn = number >= 0 and number % fault.every == 0
        return is_turn and (fault.calls is None or number // fault.every < fault.calls)


def from_json(value: dict[str, object]) -> Fault:
    return replace(Fault(), **value)


def to_json(fault: Fault) -> dict[str, object]:
    return asdict(fault)


class Gate(grpc.ServerInterceptor):
    """Asks for the key and lets the planned faults happen."""

    def __init__(self, faults: Faults, api_key: str | None) -> None:
        self.faults = faults
        self.api_key = api_key

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        method = details.method.removeprefix("/qdrant.")
        if handler is None or not details.method.startswith("/qdrant."):
            return handler
        metadata = dict(details.invocation_metadata)

        def call(request, context):
            self._admit(metadata, context)
            faults, lifted = self.faults.met(method)
            for fault in faults:
                _before(fault, lifted, context)
            if any(fault.ignored for fault in faults):
                return response_type(method)()
            response = handler.unary_unary(request, context)
            for fault in faults:
                _after(fault, context)
            return response

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _admit(self, metadata, context):
        if self.api_key and metadata.get("api-key") != self.api_key:
            context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "Must provide an API key or an Authorization bearer token"
            )


def _before(fault, lifted, context):
    if fault.delay:
        time.sleep(fault.delay)
    if fault.hangs:
        while context.is_active() and not lifted.wait(0.02):
            pass
    if fault.status and not fault.applied:
        _fail(fault, context)


def _after(fault, context):
    if fault.status and fault.applied:
        _fail(fault, context)


def _fail(fault, context):
    if fault.retry_after is not None:
        context.set_trailing_metadata((("retry-after", f"{fault.retry_after:g}"),))
    context.abort(grpc.StatusCode[fault.status], fault.details)
