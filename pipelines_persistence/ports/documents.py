"""Where documents come from, and how they become text."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from pipelines_persistence.records import (
    Json,
    ParsedDocument,
    SourceEntry,
)


class Source(Protocol):
    """A tree of documents somewhere: a folder, a file, an archive, a bucket."""

    @property
    def name(self) -> str:
        """The name in the configuration."""

    @property
    def metadata(self) -> Mapping[str, Json]:
        """What the configuration says of every document of this source."""

    def entries(self) -> Iterator[SourceEntry]:
        """List the documents in a stable order.

        Raises:
            SourceUnavailable: the listing failed; a partial listing is never passed off as whole.
        """

    def read(self, entry: SourceEntry, limit: int) -> bytes:
        """Return the content of an entry.

        Raises:
            DocumentError: this document cannot be read, or is larger than `limit` bytes.
            SourceUnavailable: the whole source went away.
        """


class DocumentParser(Protocol):
    """Turns bytes into text."""

    @property
    def version(self) -> str:
        """Changes whenever the same bytes may give another text; part of the fingerprint."""

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the text of a document, by its content first and its suffix second.

        Raises:
            DocumentError: with the reason why there is no text.
        """
