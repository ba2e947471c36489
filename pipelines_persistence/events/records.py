"""An event before and after it is stored, and its place in the log."""

import hashlib
import re
import secrets
import time
from datetime import UTC, datetime

import msgspec

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events.codec import check, encode

TOMBSTONED = "$tombstoned"
"""Type of the one event that is left of a stream that was tombstoned."""

ARCHIVED = "$archived"
"""Type of the last event of a stream that was archived."""

CLOSING = frozenset({TOMBSTONED, ARCHIVED})
"""A stream whose last event has one of these types takes no further event."""

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_MOST = 2**31
_LONGEST = 500  # characters; PostgreSQL's index takes up to 2,700 bytes


class Cursor(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place in the log; greater is later. Opaque: keep it, compare it, give it back, build none.

    Its text sorts as the cursor does.

    Attributes:
        epoch: grows whenever the database's transaction ids may have begun anew (restore, fail-over).
        transaction: the id of the transaction that wrote the event; 0 where writers take turns.
        position: the order within a transaction.
    """

    epoch: int
    transaction: int
    position: int

    def __str__(self) -> str:
        """Return its text form."""
        return f"{self.epoch:08x}-{self.transaction:016x}-{self.position:016x}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return the cursor of a text form.

        Raises:
            ValueError: it is none.
        """
        parts = text.split("-")
        if [len(part) for part in parts] != [8, 16, 16]:
            raise ValueError(f"{text!r} is no cursor")
        return cls(*(int(part, 16) for part in parts))


START = Cursor(0, 0, 0)
"""Before the first event."""


def new_id() -> str:
    """Return a new UUIDv7: ids that are made one after the other lie together in an index."""
    chance = f"{secrets.randbits(74):019x}"
    moment = f"{time.time_ns() // 1_000_000:012x}"
    variant = "89ab"[int(chance[0], 16) & 3]
    return f"{moment[:8]}-{moment[8:]}-7{chance[1:4]}-{variant}{chance[4:7]}-{chance[7:]}"


def category_of(stream: str) -> str:
    """Return a stream's category: its id up to the first '-'."""
    return stream.partition("-")[0]


BUCKETS = 256
"""Streams are spread over so many buckets: the first byte of the SHA-256 of the id."""


def bucket_of(stream: str) -> int:
    """Return the bucket of a stream, the same in every process and database, today and in ten years."""
    return hashlib.sha256(stream.encode()).digest()[0]


class Partition(msgspec.Struct, frozen=True):
    """A share of all streams; each stream is in exactly one of `of` shares.

    Attributes:
        index: which share, from 0.
        of: how many there are, 1 to 256.

    Raises:
        EventRefused: there is no such share.
    """

    index: int
    of: int

    def __post_init__(self) -> None:
        """Refuse a share that would hold nothing."""
        if not (1 <= self.of <= BUCKETS and 0 <= self.index < self.of):
            raise EventRefused(f"partition {self.index} of {self.of}: there are 1 to {BUCKETS}, from 0")

    def holds(self, stream: str) -> bool:
        """Tell whether a stream belongs to this share."""
        return bucket_of(stream) % self.of == self.index


def _now() -> datetime:
    return datetime.now(UTC)


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that happened, to be appended.

    Attributes:
        type: a stable name, never a module path; '$' begins the store's own.
        data: JSON; these bytes are kept exactly.
        id: a UUID in its canonical text form. Appending the same id again is no second event.
        schema_version: of `data` under `type`, from 1.
        occurred_at: when it happened, aware; kept in UTC to the microsecond.
        correlation_id: what it is part of, such as a run.
        causation_id: the id of the event or command that brought it about.
        actor: who or what did it.

    Raises:
        EventRefused: a value is malformed; nothing has been written.
    """

    type: str
    data: bytes = b"{}"
    id: str = msgspec.field(default_factory=new_id)
    schema_version: int = 1
    occurred_at: datetime = msgspec.field(default_factory=_now)
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be read back as it was meant."""
        refuse_text("the event type", self.type)
        try:
            aware(self.occurred_at).astimezone(UTC)
        except OverflowError as error:
            raise EventRefused(f"{self.occurred_at} is before or after all that UTC can say") from error
        if not 1 <= self.schema_version < _MOST:
            raise EventRefused(
                f"schema_version is {self.schema_version}: versions are counted from 1, up to {_MOST - 1}"
            )
        if not _CANONICAL(self.id):
            raise EventRefused(
                f"the event id {self.id!r} is no UUID in lower-case text form: use str(uuid4())"
            )
        for name in ("correlation_id", "causation_id", "actor"):
            if (value := getattr(self, name)) is not None:
                refuse_text(name, value)
        check(self.data)

    @classmethod
    def of(cls, type: str, value: object, **metadata: object) -> "NewEvent":  # noqa: A002 - the field's name
        """Return an event whose data is a value written as JSON; see `encode` for what it raises."""
        return msgspec.convert(
            {**metadata, "type": type, "data": encode(value)}, cls, builtin_types=(bytes, datetime)
        )


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands in the log.

    Attributes:
        stream: the stream's id.
        version: its place in the stream, from 1 without holes.
        cursor: its place in the log.
        recorded_at: when the store took it, in UTC; never runs backwards within a stream.

    The others are those of `NewEvent`.
    """

    stream: str
    version: int
    cursor: Cursor
    recorded_at: datetime
    id: str
    type: str
    data: bytes
    schema_version: int
    occurred_at: datetime
    correlation_id: str | None
    causation_id: str | None
    actor: str | None

    @property
    def category(self) -> str:
        """The stream's category: its id up to the first '-'."""
        return category_of(self.stream)


def aware(moment: datetime) -> datetime:
    """Return a moment that says its zone.

    Raises:
        EventRefused: it is naive.
    """
    if moment.utcoffset() is None:
        raise EventRefused(f"{moment} is a naive datetime: use datetime.now(UTC), or give its zone")
    return moment


def refuse_text(name: str, value: str) -> None:
    """Refuse a name that some database could not keep, or not index.

    Raises:
        EventRefused: it is empty, too long, or holds NUL or half a surrogate pair.
    """
    if not value or len(value) > _LONGEST:
        raise EventRefused(f"{name} has {len(value)} characters: it takes 1 to {_LONGEST}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise EventRefused(f"{name} {value!r} is no valid Unicode: {error.reason}") from error
    if "\0" in value:
        raise EventRefused(f"{name} {value!r} holds NUL, which PostgreSQL cannot keep")
