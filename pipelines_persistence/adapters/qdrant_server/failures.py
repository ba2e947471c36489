"""What goes wrong on the way to the server, and in it, as errors of ours: may I try again, and what do I do next?

The statuses are those of Qdrant's gRPC interface. The driver's own retries, which repeat permanent errors as well, are
not used: whoever guards the calls decides by these types.
"""

import re
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.qdrant.names import not_found
from pipelines_persistence.errors import PipelinesError, StorageError, StoreError, StoreUnavailable

if TYPE_CHECKING:
    import grpc

_DISK = (
    "no space left",
    "disk is full",
    "disk full",
    "not enough disk space",
    "disk quota",
    "read-only file system",
)
_PASSING = (
    "timeout",
    "timed out",
    "no active replica",
    "not enough active replicas",
    "shutting down",
    "rst_stream",
)
_TOO_LONG = ("message larger than max", "message length too large")
_LINE = (
    "connect",
    "socket",
    "transport",
    "goaway",
    "stream removed",
    "broken pipe",
    "recvmsg",
    "endpoint",
    "cancelling",
)
_CAUSES = (
    ("wrong_version_number", "it speaks no TLS: with http:// instead of https://, perhaps"),
    ("certificate_verify_failed", "its certificate is not trusted"),
    ("connection refused", "connection refused"),
    ("connection reset", "connection reset"),
    ("connection timed out", "connection timed out"),
    ("network is unreachable", "network is unreachable"),
    ("no route to host", "no route to host"),
    ("dns resolution failed", "its name is not known"),
    ("handshake", "the TLS handshake failed"),
)
"""Words of gRPC, and what they mean."""

_LAYERS = re.compile(r"^.*last error: |\bUNKNOWN: |\bipv[46]:\S+ ", re.DOTALL)
_SHOWN = 160
_LATER = frozenset({"UNAVAILABLE", "ABORTED", "CANCELLED"})
_REFUSED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})
_BROKEN = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS"})


def translated(error: "grpc.RpcError", doing: str, server: str, name: str = "") -> PipelinesError:
    """Return our error for one of gRPC's.

    Args:
        error: has a status, details and trailing metadata.
        doing: such as "searching in 'docs'".
        server: its URL, fit for messages.
        name: of the collection or alias that was asked for, "" where the call is about none.
    """
    status, details = error.code().name, _in_short(error.details() or "")
    text = (error.details() or "").lower()
    if status == "NOT_FOUND" and name:
        return not_found(name)
    if any(words in text for words in _TOO_LONG):
        return StoreError(f"{doing}: one request is too long for {server} ({details}): lower qdrant.batch")
    if status == "RESOURCE_EXHAUSTED":
        return _limited(doing, server, details, retry_after(error))
    if status in _BROKEN and any(words in text for words in _DISK):
        return StorageError(
            f"{doing}: the disk of {server} is full ({details}): free space there, then try again"
        )
    return _by_status(status, f"{doing}: {{}} ({status}: {details}): {{}}", server, text)


def _in_short(details: str) -> str:
    """Return the cause without the layers that pass it on; what is left out stands in the chained error."""
    text = details.lower()
    known = next((cause for words, cause in _CAUSES if words in text), "")
    cause = known or _LAYERS.sub("", details).strip() or "no details"
    return cause if len(cause) <= _SHOWN else f"{cause[:_SHOWN].rstrip()} ..."


def _by_status(status: str, sentence: str, server: str, text: str) -> PipelinesError:
    if status in _REFUSED:
        return StoreError(sentence.format(f"{server} refuses the key", "set PIPELINES_QDRANT_API_KEY"))
    if status == "DEADLINE_EXCEEDED":
        return StoreUnavailable(
            sentence.format(
                f"{server} did not answer in time", "see whether it is overloaded, or raise qdrant.timeout"
            )
        )
    if status in _LATER or (status in _BROKEN and any(words in text for words in _PASSING)):
        return StoreUnavailable(
            sentence.format(f"{server} does not answer", "see whether it runs, and PIPELINES_QDRANT_URL")
        )
    if status == "UNIMPLEMENTED":
        return StoreError(sentence.format(f"{server} cannot do that", "it has to be Qdrant 1.16 or newer"))
    if status in _BROKEN:
        return StoreError(sentence.format(f"{server} failed", "look into its log"))
    return StoreError(sentence.format(f"{server} refuses it", "change what the message names"))


def _limited(doing: str, server: str, details: str, seconds: float | None) -> StoreUnavailable:
    when = "in a moment" if seconds is None else f"in {seconds:g} s"
    return StoreUnavailable(
        f"{doing}: {server} limits the rate ({details}): try again {when}", retry_after=seconds
    )


def retry_after(error: "grpc.RpcError") -> float | None:
    """Return the seconds that the server wants to be left alone, or None."""
    metadata = {item.key: item.value for item in error.trailing_metadata() or ()}
    try:
        return max(float(metadata["retry-after"]), 0.0)
    except (KeyError, ValueError):
        return None


def is_broken_line(error: "grpc.RpcError") -> bool:
    """Tell whether the connection broke or was never made, as against a server that answers that it is not available.

    gRPC has one status for both, and tells them apart only in words; those that are not known are the server's.
    """
    if error.code().name != "UNAVAILABLE":
        return False
    text = (error.details() or "").lower()
    return any(words in text for words in _LINE)
