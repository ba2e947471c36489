"""For any log of things that come and go: what is alive now."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from pipelines_persistence.events import TOMBSTONED, StoredEvent, decode
from pipelines_persistence.projections.declaring import Projection, on
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.tables import Table


class Entity(msgspec.Struct):
    """Something that is alive.

    Attributes:
        entity: the id of its stream.
        since: when it was created, or got this id.
        last_event: type of the last event of its stream; `last_at` is when that occurred.
    """

    entity: str
    since: datetime
    last_event: str
    last_at: datetime


class LiveEntities(Projection):
    """One row for each entity that was created or renamed to, and not deleted or renamed since.

    Args:
        created: endings of the types that create the entity of their stream.
        renamed: endings of the types that end the entity `data.from` and begin that of their stream. One without a
            `from` changes neither.
        deleted: endings of the types that end the entity of their stream.
    """

    name = "live_entities"
    tables = (Table(Entity, key=["entity"]),)

    def __init__(
        self,
        created: Sequence[str] = ("Added", "Created"),
        renamed: Sequence[str] = ("Renamed",),
        deleted: Sequence[str] = ("Deleted", "Removed"),
    ) -> None:
        """Take what means what."""
        self._created, self._renamed, self._deleted = tuple(created), tuple(renamed), tuple(deleted)

    @property
    def configuration(self) -> Mapping[str, object]:
        """The endings."""
        return {"created": self._created, "renamed": self._renamed, "deleted": self._deleted}

    def prefetch(self, events: Sequence[StoredEvent], models: Models) -> None:
        """Read what the events are about."""
        models[Entity].fetch((event.stream,) for event in events)

    @on()
    def happened(self, event: StoredEvent, models: Models) -> None:
        """Begin, end or go on."""
        entities, name = models[Entity], event.stream
        if event.type == TOMBSTONED or event.type.endswith(self._deleted):
            entities.delete(name)
            return
        old = _old_id(event) if event.type.endswith(self._renamed) else None
        if old is not None and old != name:
            entities.delete(old)
        alive = entities.get(name)
        if event.type.endswith(self._created) or (old is not None and old != name):
            alive = Entity(name, event.occurred_at, event.type, event.occurred_at)
        if alive:
            alive.last_event, alive.last_at = event.type, event.occurred_at
            entities.put(alive)


def _old_id(event: StoredEvent) -> str | None:
    data = decode(event.data)
    old = data.get("from") if isinstance(data, dict) else None
    if old is not None and not isinstance(old, str):
        raise TypeError(f"data.from is {old!r}: expected the old id as a text")
    return old
