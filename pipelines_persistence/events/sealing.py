"""Seals the personal fields of events, and reveals them while their subject's key is there."""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pipelines_persistence.errors import ConfigurationError, EventRefused, PersonalDataDamaged
from pipelines_persistence.events.codec import check, decode
from pipelines_persistence.events.json_places import Place, has_name, locate, select, splice, tree
from pipelines_persistence.events.records import NewEvent, StoredEvent, refuse_text
from pipelines_persistence.events.subject_keys import Cipher, SubjectKey, SubjectKeys

_NAME = "$sealed"
# In JSON these bytes can only begin an object: within a string the quotes would have a backslash each.
_BEGIN = b'{"$sealed":"'
_begins = re.compile(re.escape(_BEGIN)).finditer
_key_ids = re.compile(re.escape(_BEGIN) + rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\"").findall


class PersonalData(msgspec.Struct, frozen=True):
    """Which parts of an event type's data belong to a person.

    Paths are names joined by dots. A path through a list means each of its items; at the end of a path the whole value is
    sealed, whatever it is. A rule holds for what is appended from now on: events that were appended before it stay as
    they are, readable by all. A path may leave a rule at any time, the rule itself only when no event of its type is
    left, for reading asks whether there is one.

    Attributes:
        subject: path of the text or integer that names the person, such as "customer_id".
        fields: paths of what to seal, such as ("email", "address.street").

    Raises:
        ConfigurationError: there are no fields, or a path has an empty name.
    """

    subject: str
    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what would seal nothing."""
        if not self.fields or not all(all(path.split(".")) for path in (self.subject, *self.fields)):
            raise ConfigurationError(
                f"personal data of {self.subject!r} in {list(self.fields)}: give at least one field, and paths like 'a.b'"
            )


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str = msgspec.field(name=_NAME)
    v: bytes  # Base64 in JSON


class _Rule:
    """A rule, made ready."""

    def __init__(self, rule: PersonalData) -> None:
        self._name = rule.subject
        self._subject = tree(frozenset({rule.subject}))
        self._fields = tree(frozenset(rule.fields))

    def find(self, event: NewEvent) -> "_Found | None":
        if has_name(event.data, _NAME):
            raise EventRefused(
                f"an event of the type {event.type!r} has a member named {_NAME!r}, which marks sealed data: rename it; "
                "if the event comes from another database, export it there with its data revealed"
            )
        places = select(event.data, self._fields)
        return _Found(self._subject_of(event), places) if places else None

    def _subject_of(self, event: NewEvent) -> str:
        found = select(event.data, self._subject)
        value = decode(event.data[found[0].start : found[0].end]) if len(found) == 1 else None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise EventRefused(
                f"an event of the type {event.type!r} has personal data, but {self._name!r} is not one text or integer "
                "that says whose: without it the data could never be forgotten"
            )
        refuse_text("the subject", str(value))
        return str(value)


class _Found(msgspec.Struct, frozen=True):
    """The personal data of an event."""

    subject: str
    places: list[Place]


class Sealer:
    """Seals and reveals events by rules for their types; others pass through as they are."""

    def __init__(self, rules: Mapping[str, PersonalData], keys: SubjectKeys, cipher: Cipher) -> None:
        """Take the rules by event type, and what keeps the keys and encrypts."""
        self._rules = {type_: _Rule(rule) for type_, rule in rules.items()}
        self._keys = keys
        self._cipher = cipher

    def check(self, event: NewEvent) -> None:
        """Refuse an event that `seal` would refuse; see there."""
        if event.type in self._rules:
            self._rules[event.type].find(event)

    def seal(self, events: Sequence[NewEvent]) -> Sequence[NewEvent]:
        """Return events with their personal fields sealed.

        Raises:
            EventRefused: personal data names no subject, does not fit the rule, or looks as if it were sealed.
        """
        rules = self._rules
        finds = [rules[event.type].find(event) if event.type in rules else None for event in events]
        if not any(finds):
            return events
        keys = self._keys.obtain({found.subject for found in finds if found})
        return [
            self._sealed(event, found.places, keys[found.subject]) if found else event
            for event, found in zip(events, finds, strict=True)
        ]

    def reveal(self, events: Sequence[StoredEvent]) -> Iterable[StoredEvent]:
        """Return events with their personal fields as they were, or null where the subject was forgotten.

        Raises:
            PersonalDataDamaged: when the walk gets to an event whose sealed data was changed.
        """
        rules = self._rules
        sealed = [event for event in events if event.type in rules and _BEGIN in event.data]
        if not sealed:
            return events
        # One look-up for all, so that those that follow, an event at a time, are answered from the cache.
        self._keys.find({id_ for event in sealed for id_ in _ids(event)})
        return map(self._revealed, events)

    def _sealed(self, event: NewEvent, places: Sequence[Place], key: SubjectKey) -> NewEvent:
        values = []
        for place in places:
            plain = event.data[place.start : place.end]
            sealed = self._cipher.seal(key.secret, plain, _context(event, place))
            values.append(_pack(key.id, sealed))
        return msgspec.structs.replace(event, data=splice(event.data, places, values))

    def _revealed(self, event: StoredEvent) -> StoredEvent:
        if event.type not in self._rules or _BEGIN not in event.data:
            return event
        places = _sealed_places(event)
        keys = self._keys.find(_ids(event))
        values = [self._opened(event, place, keys) for place in places]
        return msgspec.structs.replace(event, data=splice(event.data, places, values))

    def _opened(self, event: StoredEvent, place: Place, keys: Mapping[str, SubjectKey]) -> bytes:
        try:
            key_id, sealed = _unpack(event.data[place.start : place.end])
            if (key := keys.get(key_id)) is None:
                return b"null"
            return self._cipher.open(key.secret, sealed, _context(event, place))
        except ValueError as error:
            raise PersonalDataDamaged(event.stream, event.version, str(place)) from error


def _sealed_places(event: StoredEvent) -> list[Place]:
    starts = [begin.start() for begin in _begins(event.data)]
    try:
        check(event.data)
    except EventRefused as error:
        raise PersonalDataDamaged(event.stream, event.version, "") from error
    places = locate(event.data, starts)
    if len(places) < len(starts):
        raise PersonalDataDamaged(event.stream, event.version, "")
    return places


def _ids(event: StoredEvent) -> set[str]:
    return {id_.decode() for id_ in _key_ids(event.data)}


def _context(event: NewEvent | StoredEvent, place: Place) -> bytes:
    return msgspec.json.encode((event.type, event.id, place.path))


def _pack(key_id: str, sealed: bytes) -> bytes:
    return msgspec.json.encode(_Sealed(key_id, _checksum(key_id, sealed) + sealed))


def _unpack(value: bytes) -> tuple[str, bytes]:
    try:
        packed = msgspec.json.decode(value, type=_Sealed)
    except msgspec.DecodeError as error:
        raise ValueError("not as it was written") from error
    checksum, sealed = packed.v[:4], packed.v[4:]
    if checksum != _checksum(packed.key, sealed):
        raise ValueError("the checksum differs")
    return packed.key, sealed


def _checksum(key_id: str, sealed: bytes) -> bytes:
    # The cipher notices every change of what it sealed, but a wrong key id would look like one that was forgotten.
    return zlib.crc32(sealed, zlib.crc32(key_id.encode())).to_bytes(4, "big")
