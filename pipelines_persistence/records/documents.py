"""Documents: as a source lists them, as text, as chunks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from pipelines_persistence.errors import DocumentError

Scalar: TypeAlias = str | int | float | bool
Json: TypeAlias = Scalar | Sequence["Json"] | Mapping[str, "Json"] | None
Payload: TypeAlias = dict[str, Json]
"""What is stored beside a vector: typed, not everything as a string."""


class Markup(StrEnum):
    """How the text of a parsed document shows its structure; decides how it is chunked."""

    MARKDOWN = "markdown"
    RESTRUCTURED_TEXT = "rst"
    PLAIN = "plain"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One document as a source lists it, before it is read.

    Attributes:
        source: the name of the source in the configuration.
        path: relative to the source's root, '/'-separated, in Unicode NFC; identifies the document.
        size: in bytes, as listed.
        signature: changes whenever the content may have changed; None means "unknown, hash it".
        problem: set when the entry has no content to read, such as a dangling link.
    """

    source: str
    path: str
    size: int = 0
    signature: str | None = None
    problem: DocumentError | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    r"""A document's text and what is known of it.

    Attributes:
        text: decoded, with '\n' line ends, no byte order mark and no NUL.
        markup: how `text` shows its structure.
        media_type: what the content was found to be, such as "text/html".
        title: the document's own title, or "" where it has none.
        metadata: typed values, such as the front matter of a Markdown file.
    """

    text: str
    markup: Markup
    media_type: str
    title: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `document.text[start:end] == text`.

    Attributes:
        start, end: offsets in characters into the parsed text.
        headings: titles of the sections that contain the start of the chunk, outermost first.
        tokens: as the embedding model counts them, special tokens included.
    """

    text: str
    start: int
    end: int
    headings: tuple[str, ...]
    tokens: int
