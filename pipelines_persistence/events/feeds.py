"""What the platform needs of the places that events come from."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec


class EventFile(Protocol):
    """A file of JSONL."""

    @property
    def name(self) -> str:
        """What to call it in a report."""

    def lines(self) -> Iterator[bytes]:
        """Yield the lines with their ends, each cut off after `LONGEST_LINE` + 1 bytes; every call begins anew.

        Raises:
            SourceUnavailable: it cannot be read, or only up to here.
        """


class InboxFile(EventFile, Protocol):
    """A file of an inbox, which may still grow."""

    @property
    def feed(self) -> str:
        """Names it among all feeds."""

    def signature(self) -> str:
        """Return what changes with the file's content.

        Raises:
            SourceUnavailable: it is gone, or access is denied.
        """


class Entry(NamedTuple):
    """An entry of a stream that another system keeps, such as one of Redis.

    Attributes:
        id: `<milliseconds>-<number>`.
        fields: as they were sent.
    """

    id: str
    fields: Mapping[bytes, bytes]


class EntryPage(NamedTuple):
    """Entries, and what was known of their stream at the same moment.

    Attributes:
        entries: in the order of their ids; fewer than were asked for only at the end of the stream.
        last: the id of the last entry that was ever added.
        added: how many entries were ever added; None where the system does not tell.
    """

    entries: Sequence[Entry]
    last: str
    added: int | None


class EntryStream(Protocol):
    """A stream of entries that another system keeps, and drops in its own time."""

    @property
    def name(self) -> str:
        """What to call it in a report."""

    @property
    def feed(self) -> str:
        """Names it among all feeds."""

    def page(self, after: str, limit: int) -> EntryPage:
        """Return the entries after an id, up to `limit` of them.

        Raises:
            SourceUnavailable: the system does not answer.
            ConfigurationError: it refuses us, or keeps something else under this name.
        """


class FeedPositions(Protocol):
    """Remembers how far each feed has been taken in. A position is text of the feed's own making.

    Every method may raise `DatabaseUnavailable` and `StorageError`.
    """

    def get(self, feed: str) -> str | None:
        """Return the position of a feed, None before the first."""

    def put(self, feed: str, position: str) -> None:
        """Keep a position; what it covers must have been appended before."""

    def beginning(self, prefix: str) -> Mapping[str, str]:
        """Return the positions of all feeds whose name begins with a prefix, by name."""


class Progress(msgspec.Struct, frozen=True):
    """How far an intake is.

    Attributes:
        feed: what is being read.
        read: lines or entries so far, of all feeds.
        rejected: those of them that are malformed.
    """

    feed: str
    read: int
    rejected: int


Notify = Callable[[Progress], None]
"""Told of the progress now and then; may raise `RunCancelled` to stop: what was appended by then stays."""


def silent(_progress: Progress) -> None:
    """Tell nobody."""


_LONGEST_NAME = 500  # characters; PostgreSQL's index takes up to 2,700 bytes


def feed_name(text: str) -> str:
    """Return a text as the name of a feed: one that is too long ends in its digest."""
    if len(text) <= _LONGEST_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[: _LONGEST_NAME - len(digest) - 1]}~{digest}"
