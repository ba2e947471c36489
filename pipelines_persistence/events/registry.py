"""Typed events: stable names, schema versions, and how data of an old version becomes an event of today."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from pipelines_persistence.errors import ConfigurationError, EventRefused, EventTooNew
from pipelines_persistence.events.codec import encode
from pipelines_persistence.events.records import NewEvent, StoredEvent, new_id, refuse_text

Fields: TypeAlias = dict[str, Any]
Upcaster: TypeAlias = Callable[[Fields], Fields]
"""A pure function from the decoded data of one schema version to that of the next."""

E = TypeVar("E", bound=type[msgspec.Struct])
U = TypeVar("U", bound=Upcaster)


class UnknownEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of a type that is not registered, passed through whole.

    Attributes:
        data: the bytes that were appended.
    """

    type: str
    schema_version: int
    data: bytes


class _Kind(NamedTuple):
    name: str
    version: int
    struct: type[msgspec.Struct]
    decode: Callable[[bytes], msgspec.Struct]


class EventRegistry:
    """Knows types of events by name. Filled when modules load, then only read; safe to share between threads."""

    def __init__(self) -> None:
        """Begin with no types."""
        self._kinds: dict[str, _Kind] = {}
        self._by_struct: dict[type[msgspec.Struct], _Kind] = {}
        self._upcasters: dict[tuple[str, int], Upcaster] = {}
        self._is_checked = False

    # Registration

    def event(self, name: str, version: int = 1) -> Callable[[E], E]:
        """Register the class below as an event type.

        Args:
            name: stands in the log for ever; whatever becomes of the class, it stays.
            version: of its fields. Whoever changes them raises it and writes an upcaster from the one before.

        Raises:
            ConfigurationError: the name is taken or unusable, or the class is no frozen struct with aware datetimes.
        """

        def register(struct: E) -> E:
            self._admit(name, version, struct)
            kind = _Kind(name, version, struct, _decoder(struct))
            self._kinds[name] = self._by_struct[struct] = kind
            self._is_checked = False
            return struct

        return register

    def upcaster(self, name: str, from_version: int) -> Callable[[U], U]:
        """Register the function below, from one schema version of a type to the next.

        It takes the decoded data, which is its own to change, and returns that of `from_version + 1`. Where a float
        would not be exact, a number is a `Decimal`.

        Raises:
            ConfigurationError: there is one already.
        """

        def register(function: U) -> U:
            if (name, from_version) in self._upcasters:
                raise ConfigurationError(
                    f"{name!r} has two upcasters from schema version {from_version}: remove one"
                )
            self._upcasters[name, from_version] = function
            self._is_checked = False
            return function

        return register

    def check(self) -> None:
        """Hold types and upcasters against each other; the first use does it too.

        Raises:
            ConfigurationError: an upcaster is missing, or leads nowhere.
        """
        needed = {(kind.name, old) for kind in self._kinds.values() for old in range(1, kind.version)}
        for name, version in sorted(needed - self._upcasters.keys()):
            raise ConfigurationError(
                f"{name!r} has no upcaster from schema version {version}, so events of that version cannot be read: "
                f"write one with @registry.upcaster({name!r}, from_version={version})"
            )
        for name, version in sorted(self._upcasters.keys() - needed):
            known = self._kinds.get(name)
            state = f"is at schema version {known.version}" if known else "is not registered"
            raise ConfigurationError(
                f"the upcaster of {name!r} from schema version {version} leads nowhere, for the type {state}: "
                "remove it, or raise the version of the type"
            )
        self._is_checked = True

    @property
    def versions(self) -> Mapping[str, int]:
        """The current schema version of each type, by name."""
        return MappingProxyType({name: kind.version for name, kind in self._kinds.items()})

    # Use

    def name_of(self, struct: type[msgspec.Struct]) -> str:
        """Return the name of a registered type.

        Raises:
            ConfigurationError: it is not registered.
        """
        if struct not in self._by_struct:
            raise ConfigurationError(
                f"{struct.__name__} is no registered event: decorate it with @registry.event"
            )
        return self._by_struct[struct].name

    def encode(
        self,
        event: msgspec.Struct,
        *,
        id: str | None = None,  # noqa: A002 - the field's name
        occurred_at: datetime | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        actor: str | None = None,
    ) -> NewEvent:
        """Return an event ready to be appended; see `NewEvent` for the metadata, which is given or made there.

        Raises:
            EventRefused: it is of no registered type, could not be read back, or its metadata is malformed.
            ConfigurationError: see `check`.
        """
        if not self._is_checked:
            self.check()
        kind = self._by_struct.get(type(event))
        if kind is None:
            raise EventRefused(
                f"{type(event).__name__} is no registered event: decorate it with @registry.event"
            )
        data = encode(event)
        try:
            kind.decode(data)  # a struct takes any value when it is made, and a log keeps it for ever
        except msgspec.ValidationError as error:
            raise EventRefused(f"the {kind.name!r} does not fit its own type: {error}") from error
        return NewEvent(
            kind.name,
            data,
            id=new_id() if id is None else id,
            schema_version=kind.version,
            occurred_at=datetime.now(UTC) if occurred_at is None else occurred_at,
            correlation_id=correlation_id,
            causation_id=causation_id,
            actor=actor,
        )

    def decode(self, stored: StoredEvent) -> msgspec.Struct:
        """Return a stored event as its type is today, or an `UnknownEvent` whose type is not registered.

        Raises:
            EventTooNew: its schema version is newer than this process knows.
            EventRefused: its data does not fit its type.
            ConfigurationError: see `check`.
        """
        if not self._is_checked:
            self.check()
        kind = self._kinds.get(stored.type)
        if kind is None:
            return UnknownEvent(stored.type, stored.schema_version, stored.data)
        try:
            if stored.schema_version == kind.version:
                return kind.decode(stored.data)
            return msgspec.convert(self._upcast(kind, stored), kind.struct, str_keys=True)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _misfit(stored, str(error)) from error

    def _upcast(self, kind: _Kind, stored: StoredEvent) -> Fields:
        version = stored.schema_version
        if version > kind.version:
            raise EventTooNew(stored.stream, stored.version, kind.name, version, kind.version)
        fields: Fields = _untyped.decode(stored.data)
        for old in range(version, kind.version):
            try:
                fields = self._upcasters[kind.name, old](fields)
            except Exception as error:
                raise _misfit(
                    stored, f"its upcaster from {old} failed with {type(error).__name__}: {error}"
                ) from error
        return fields

    def _admit(self, name: str, version: int, struct: type) -> None:
        refusal = ""
        if name in self._kinds:
            refusal = f"is taken by {self._kinds[name].struct.__name__}: each type has a name of its own"
        elif struct in self._by_struct:
            refusal = f"is a second name for {struct.__name__}: an event has one"
        elif name.startswith("$"):
            refusal = "begins with '$', which marks the store's own events"
        elif version < 1:
            refusal = f"is given version {version}: versions are counted from 1"
        elif not issubclass(struct, msgspec.Struct):
            refusal = "is no msgspec.Struct"
        elif not struct.__struct_config__.frozen or struct.__struct_config__.array_like:
            refusal = (
                "is no frozen struct written as an object: what happened does not change; use frozen=True"
            )
        elif naive := next(_naive(inspect.type_info(struct), "", set()), None):
            refusal = f"has the datetime {naive!r}, which takes naive values: use events.Moment"
        if refusal:
            raise ConfigurationError(f"the event type {name!r} {refusal}")
        try:
            refuse_text("the event type", name)
        except EventRefused as error:
            raise ConfigurationError(str(error)) from error


def _decoder(struct: type[msgspec.Struct]) -> Callable[[bytes], msgspec.Struct]:
    return msgspec.json.Decoder(struct).decode


def _number(text: str) -> float | Decimal:
    number, exact = float(text), Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


_untyped = msgspec.json.Decoder(Fields, float_hook=_number)


def _misfit(stored: StoredEvent, detail: str) -> EventRefused:
    return EventRefused(
        f"version {stored.version} of the stream {stored.stream!r} does not fit its type {stored.type!r} in schema "
        f"version {stored.schema_version}: {detail}; what was written stays: give the type a new version that takes it"
    )


def _naive(node: object, path: str, seen: set[int]) -> Iterator[str]:
    """Find the fields whose type takes a naive datetime, however deep they are."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, inspect.DateTimeType) and node.tz is not True:
        yield path
    elif isinstance(node, inspect.Field):
        yield from _naive(node.type, f"{path}.{node.name}".lstrip("."), seen)
    elif isinstance(node, inspect.Type):
        for name in node.__struct_fields__:
            yield from _naive(getattr(node, name), path, seen)
    elif isinstance(node, tuple):
        for part in node:
            yield from _naive(part, path, seen)
