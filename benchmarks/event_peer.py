"""`eventsourcing`: an application with its own recorder and mapper, set up as its documentation does.

SQLite: it sets WAL itself and leaves synchronous at FULL. PostgreSQL: its default, which locks the table for each append;
its database functions leave the lock out, and readers then miss events.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import sqlalchemy as sa
from eventsourcing.application import Application
from eventsourcing.domain import DomainEvent
from eventsourcing.persistence import Mapper, StoredEvent, Transcoding
from eventsourcing.utils import get_topic, resolve_topic

from benchmarks.event_sides import Batch, StepDone, exhaust
from pipelines_persistence.events import NewEvent
from pipelines_persistence.pipelines.events import ReasoningStep, ToolExecution

_STEP = 500
"""Events in one call of a bulk load: more gained nothing, and many more had its pipeline hang."""

Stored = list[list[StoredEvent]]


class CaseStep(DomainEvent):
    """`StepDone` as a frozen data class of the library's."""

    activity: str
    resource: str
    seconds: int
    is_approved: bool
    tags: list[str]


class CaseReasoning(DomainEvent):
    """`ReasoningStep` as that."""

    kind: str
    state_text: str
    branch: str
    prompt: str
    tools: list[ToolExecution]


class ToolTranscoding(Transcoding):
    """How a value of our own gets into the library's JSON, and out of it."""

    type = ToolExecution
    name = "tool"

    def encode(self, obj: ToolExecution) -> dict[str, Any]:
        """See `Transcoding`."""
        return msgspec.structs.asdict(obj)

    def decode(self, data: dict[str, Any]) -> ToolExecution:
        """See `Transcoding`."""
        return ToolExecution(**data)


class CaseStepStruct(StepDone, frozen=True, kw_only=True):
    """`StepDone` as a struct, for the mapper below."""

    originator_id: UUID
    originator_version: int
    timestamp: datetime


class CaseReasoningStruct(ReasoningStep, frozen=True, kw_only=True):
    """`ReasoningStep` as that."""

    originator_id: UUID
    originator_version: int
    timestamp: datetime


class StructMapper(Mapper[UUID]):
    """Decodes structs with msgspec, as in the library's examples; it ships JSON from the standard library."""

    def to_stored_event(self, domain_event: CaseStepStruct | CaseReasoningStruct) -> StoredEvent:
        """See `Mapper`."""
        state = msgspec.json.encode(domain_event)
        return StoredEvent(
            domain_event.originator_id, domain_event.originator_version, get_topic(type(domain_event)), state
        )

    def to_domain_event(self, stored_event: StoredEvent) -> CaseStepStruct | CaseReasoningStruct:
        """See `Mapper`."""
        return msgspec.json.decode(stored_event.state, type=resolve_topic(stored_event.topic))


class Cases(Application[UUID]):
    """An application that knows our values."""

    def register_transcodings(self, transcoder: Any) -> None:
        """Add to those of the library."""
        super().register_transcodings(transcoder)
        transcoder.register(ToolTranscoding())


class Peer:
    """One application."""

    def __init__(self, url: str, *, is_struct: bool = False) -> None:
        """Open it; with `is_struct` it maps by `StructMapper`."""
        mapper = {"MAPPER_TOPIC": get_topic(StructMapper)} if is_struct else {}
        self._app = Cases(env=peer_environment(url) | mapper)
        steps = (StepDone, CaseStepStruct if is_struct else CaseStep)
        reasonings = (ReasoningStep, CaseReasoningStruct if is_struct else CaseReasoning)
        self._kinds = {"StepDone": steps, "ReasoningStep": reasonings}

    def prepare(self, batches: Sequence[Batch]) -> Stored:
        """See `Side`; mapped already, as ours are encoded already."""
        return [
            [
                self._app.mapper.to_stored_event(self._event(stream, version + place, event))
                for place, event in enumerate(events, 1)
            ]
            for stream, version, events in batches
        ]

    def append(self, prepared: Stored) -> None:
        """See `Side`."""
        for events in prepared:
            self._app.recorder.insert_events(events)

    def load(self, prepared: Stored) -> None:
        """See `Side`."""
        events = list(chain.from_iterable(prepared))
        for start in range(0, len(events), _STEP):
            self._app.recorder.insert_events(events[start : start + _STEP])

    def read(self, stream: str) -> None:
        """See `Side`."""
        exhaust(self._app.events.get(_id_of(stream)))

    def close(self) -> None:
        """See `Side`."""
        self._app.close()

    def _event(self, stream: str, version: int, event: NewEvent) -> Any:
        ours, theirs = self._kinds[event.type]
        fields = msgspec.structs.asdict(msgspec.json.decode(event.data, type=ours))
        fields |= {name: list(value) for name, value in fields.items() if isinstance(value, tuple)}
        return theirs(
            originator_id=_id_of(stream), originator_version=version, timestamp=event.occurred_at, **fields
        )


def peer_environment(url: str) -> dict[str, str]:
    """Return the environment that has `eventsourcing` use a database."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": parsed.database or ""}
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parsed.database or "",
        "POSTGRES_HOST": parsed.host or "",
        "POSTGRES_PORT": str(parsed.port),
        "POSTGRES_USER": parsed.username or "",
        "POSTGRES_PASSWORD": "",
    }


@cache
def _id_of(stream: str) -> UUID:
    return uuid5(NAMESPACE_URL, stream)
