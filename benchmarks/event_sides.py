"""Our side of the benchmarks of events, and what all sides work on: events of a pipeline, in batches for a stream."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple, Protocol

import msgspec

from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.events import NewEvent
from pipelines_persistence.events.registry import EventRegistry
from pipelines_persistence.pipelines.events import ReasoningStep, ToolExecution

registry = EventRegistry()
registry.event("ReasoningStep")(ReasoningStep)


@registry.event("StepDone")
class StepDone(msgspec.Struct, frozen=True):
    """A step of a case: small and flat, so that little but the log itself is measured."""

    activity: str
    resource: str
    seconds: int
    is_approved: bool
    tags: list[str]


class Batch(NamedTuple):
    """Events for one stream.

    Attributes:
        version: of the stream before them.
    """

    stream: str
    version: int
    events: list[NewEvent]


class Side(Protocol):
    """A way to keep events, with a database of its own."""

    def prepare(self, batches: Sequence[Batch]) -> object:
        """Return the batches as this side likes them best; takes no part in the time."""

    def append(self, prepared: object) -> None:
        """Append them, a transaction for each."""

    def load(self, prepared: object) -> None:
        """Append them in bulk."""

    def read(self, stream: str) -> None:
        """Make a typed event of each that a stream has."""

    def close(self) -> None:
        """Let go of the database."""


class Ours:
    """The event store of this project."""

    def __init__(self, url: str) -> None:
        """Open it."""
        self.store = SqlEventStore(open_database(url))

    def prepare(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """See `Side`."""
        return batches

    def append(self, prepared: Sequence[Batch]) -> None:
        """See `Side`."""
        for stream, version, events in prepared:
            self.store.append(stream, events, version)

    def load(self, prepared: Sequence[Batch]) -> None:
        """See `Side`."""
        self.store.import_events((stream, event) for stream, _, events in prepared for event in events)

    def read(self, stream: str) -> None:
        """See `Side`."""
        exhaust(map(registry.decode, self.store.read(stream)))

    def close(self) -> None:
        """See `Side`."""
        self.store.close()


def step(number: int) -> StepDone:
    """Return a small event."""
    tags = ["north", "web"]
    return StepDone(
        f"Activity {number % 12}", "Resource 7", number * 13 % 100_000, is_approved=number % 2 == 0, tags=tags
    )


def reasoning(number: int) -> ReasoningStep:
    """Return an event of our own pipelines: text, and a tool that was called."""
    tool = ToolExecution(
        "lookup_order",
        {"order": number, "fields": ["lines", "total"]},
        {"total": "119.00", "lines": 3},
        datetime(2026, 1, 1, 12, 0, number % 60, tzinfo=UTC),
    )
    return ReasoningStep(
        "Critique",
        "The invoice does not match the order: line three is missing. " * 3,
        prompt="Compare the invoice with the order, and name each difference.",
        tools=(tool,),
    )


_numbers = count()


def batches(
    transactions: int, size: int, per_stream: int, make: Callable[[int], msgspec.Struct] = step
) -> list[Batch]:
    """Return new events for streams that nobody has seen, in turn: the first of each, then the second of each.

    Args:
        transactions: how many batches.
        size: events in each.
        per_stream: batches for each stream.
        make: makes an event of a number.
    """
    streams = [f"case-{next(_numbers):08d}" for _ in range(-(-transactions // per_stream))]
    return [
        Batch(
            streams[number % len(streams)],
            number // len(streams) * size,
            [registry.encode(make(place), correlation_id="8b0f6c1e-run") for place in range(size)],
        )
        for number in range(transactions)
    ]


def exhaust(found: Iterable[object]) -> None:
    """Take everything from an iterator, and keep nothing."""
    deque(found, maxlen=0)
