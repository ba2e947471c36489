"""How a projection is declared: a small class with a name, tables, and handlers for events or for batches."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.events import TOMBSTONED, StoredEvent
from pipelines_persistence.events.registry import EventRegistry
from pipelines_persistence.projections.frames import to_frame
from pipelines_persistence.projections.rows import Models
from pipelines_persistence.projections.tables import Table, require_name
from pipelines_persistence.repositories import Catalog, Relation

if TYPE_CHECKING:
    import pandas as pd

Handler = Callable[[Any, StoredEvent, Models], None]
H = TypeVar("H", bound=Callable[..., None])

_MARK = "_handled_event_types"


def on(*types: str | type[msgspec.Struct]) -> Callable[[H], H]:
    """Mark a method as the handler of events of these types; of all others, where none is named.

    The method takes the event and the tables; where a type is given by its struct, which is in the `registry` of the
    class, it takes the decoded event first. A type has one handler at most.
    """

    def mark(method: H) -> H:
        setattr(method, _MARK, types)
        return method

    return mark


class Projection:
    """Turns the log into a read model: tables that follow from the events, and from nothing else.

    A subclass says what it is in class attributes and has handlers marked with `on`, or overrides `project` for whole
    batches. Handlers must be pure: the same events give the same rows, whatever the clock says. What they do beside the
    tables is outside the transaction, happens again after a crash, and has to be idempotent.

    Attributes:
        name: of the read model; in the database a view of this name shows the live rows of the first table.
        version: a greater one is built anew beside the old, and replaces it when it has caught up.
        tables: the first is the main one.
        types: which events it takes; by default those that have a handler, or all where one takes all others.
        categories: only events of streams of these categories; all where empty.
        by_stream: whether each row depends on the events of one stream only, whose id is its column `stream`. Such a
            projection can be run in partitions, and its rows go with their stream when that is tombstoned; unless it
            takes events of type `TOMBSTONED` itself.
        batch_size: events in a transaction, at most.
        registry: of typed events, for handlers that are marked with a struct.
        specifications: what is often asked of the main table, by the names that the command line knows.
        relations: rows of other tables that belong to those of the main one.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    tables: ClassVar[Sequence[Table[Any]]]
    types: Collection[str] = ()
    categories: Collection[str] = ()
    by_stream: ClassVar[bool] = False
    batch_size: ClassVar[int] = 2000
    registry: ClassVar[EventRegistry] = EventRegistry()
    specifications: ClassVar[Catalog] = {}
    relations: ClassVar[Sequence[Relation[Any]]] = ()
    _handlers: ClassVar[Mapping[str | None, Handler]] = {}

    def __init_subclass__(cls) -> None:
        """Collect the handlers.

        Raises:
            ConfigurationError: two handle the same type, or a name cannot be one in a database.
        """
        super().__init_subclass__()
        marked = [getattr(cls, name) for name in dir(cls) if hasattr(getattr(cls, name), _MARK)]
        handlers: dict[str | None, Handler] = {}
        for handler in marked:
            for kind in getattr(handler, _MARK) or (None,):
                name = cls.registry.name_of(kind) if isinstance(kind, type) else kind
                if name in handlers:
                    raise ConfigurationError(f"{cls.__name__}: two handlers for {name or 'all other events'}")
                handlers[name] = _typed(handler) if isinstance(kind, type) else handler
        cls._handlers = handlers
        if handlers and None not in handlers and "types" not in cls.__dict__:
            cls.types = frozenset(name for name in handlers if name)
        if "name" in cls.__dict__:
            require_name(cls.name)

    @property
    def configuration(self) -> Mapping[str, object]:
        """What beside the version decides the rows, as plain values; another one is built anew."""
        return {}

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the rows."""
        parts = [
            self.version,
            self.configuration,
            [*sorted(self.types), *([TOMBSTONED] if self.drops_tombstoned else [])],
            sorted(self.categories),
            [table.signature for table in self.tables],
        ]
        text = json.dumps(parts, sort_keys=True)
        return f"v{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def drops_tombstoned(self) -> bool:
        """Whether the rows of a stream that was tombstoned are removed without a handler for it."""
        return self.by_stream and TOMBSTONED not in self._handlers and TOMBSTONED not in self.types

    @property
    def taken(self) -> Collection[str]:
        """The types to ask the log for; all where empty."""
        return {*self.types, TOMBSTONED} if self.types and self.drops_tombstoned else self.types

    def work_in(self, events: Sequence[StoredEvent], models: Models) -> None:
        """Work in a batch of what is `taken`: by `project`, and then without what belongs to streams that were tombstoned."""
        if not self.drops_tombstoned:
            self.project(events, models)
            return
        if own := [event for event in events if not self.types or event.type in self.types]:
            self.project(own, models)
        # Last, since nothing follows a tombstone in its stream.
        for event in events:
            if event.type == TOMBSTONED:
                models.drop_stream(event.stream)

    def prefetch(self, events: Sequence[StoredEvent], models: Models) -> None:
        """Read rows that the events of a batch will ask for; by default those of a main table keyed by stream."""
        if self.tables[0].key == ("stream",):
            models[self.tables[0].row].fetch((event.stream,) for event in events)

    def project(self, events: Sequence[StoredEvent], models: Models) -> None:
        """Work a batch of events into the tables, in their order; by default each with its handler."""
        self.prefetch(events, models)
        handlers, rest = self._handlers, self._handlers.get(None)
        for event in events:
            handler = handlers.get(event.type, rest)
            if handler:
                handler(self, event, models)


def _typed(handler: Callable[..., None]) -> Handler:
    def handle(projection: Projection, event: StoredEvent, models: Models) -> None:
        handler(projection, projection.registry.decode(event), event, models)

    return handle


class FrameProjection(Projection):
    """A projection that takes its batch as a pandas DataFrame; see `to_frame` for its columns."""

    batch_size: ClassVar[int] = 10_000

    def project(self, events: Sequence[StoredEvent], models: Models) -> None:
        """Work a batch in."""
        self.project_frame(to_frame(events), models)

    def project_frame(self, frame: "pd.DataFrame", models: Models) -> None:
        """Work the events of a frame, which are its rows in the order of the log, into the tables."""
        raise NotImplementedError
