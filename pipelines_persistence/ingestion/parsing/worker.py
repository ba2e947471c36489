"""The child process that parses untrusted formats: `python -m pipelines_persistence.ingestion.parsing.worker`.

It reads its limits, then requests, and answers each; the end of its input is its end. It must start
fast: nothing here imports Dagster, numpy or pydantic.
"""

import math
import os
import resource
import signal
from typing import BinaryIO

import msgspec

from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing.content import parse_content
from pipelines_persistence.ingestion.parsing.limits import Limits
from pipelines_persistence.ingestion.parsing.messages import LENGTH, Answer, Request, encode

_GRACE = 5
"""Seconds after the limit at which a child whose parent died in the middle of a document ends itself."""


def main() -> None:
    """Answer requests until the input ends."""
    requests, answers = _own_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's to handle
    limits = msgspec.msgpack.decode(_receive(requests), type=Limits)
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while body := _receive(requests):
        signal.alarm(math.ceil(limits.seconds) + _GRACE)
        answers.write(encode(_answer(body, limits)))
        answers.flush()
        signal.alarm(0)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the pipes away from stdin and stdout: what a library prints must not end up in an answer."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return requests, answers


def _receive(requests: BinaryIO) -> bytes:
    head = requests.read(LENGTH.size)
    return requests.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def _answer(body: bytes, limits: Limits) -> Answer:
    try:
        request = msgspec.msgpack.decode(body, type=Request)
        return Answer.of(parse_content(request.data, request.path, limits))
    except DocumentError as error:
        return Answer.refusing(error)
    except MemoryError:
        return Answer(Reason.OUT_OF_MEMORY.value, f"more than {limits.memory:,} bytes (limits.memory)")
    except RecursionError:
        return Answer(Reason.MALFORMED.value, "nested too deeply")
    except Exception as error:  # noqa: BLE001 - libraries share no base class; the text may hold document text
        return Answer(Reason.MALFORMED.value, f"the parser failed with {type(error).__name__}")


if __name__ == "__main__":
    main()
