"""What the parser and its child process say to each other: a length, then MessagePack."""

import struct

import msgspec

from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing.limits import Limits
from pipelines_persistence.records import Json, Markup, ParsedDocument

LENGTH = struct.Struct(">Q")


class Request(msgspec.Struct, array_like=True):
    """A document to parse."""

    path: str
    data: bytes


class Answer(msgspec.Struct, array_like=True):
    """The document's text, or the reason why there is none."""

    reason: str = ""
    detail: str = ""
    text: str = ""
    markup: str = ""
    media_type: str = ""
    title: str = ""
    metadata: dict[str, object] = {}

    @classmethod
    def of(cls, document: ParsedDocument) -> "Answer":
        """Return the answer that carries a document."""
        return cls(
            text=document.text,
            markup=document.markup.value,
            media_type=document.media_type,
            title=document.title,
            metadata=dict(document.metadata),
        )

    @classmethod
    def refusing(cls, error: DocumentError) -> "Answer":
        """Return the answer that carries an error."""
        return cls(reason=error.reason.value, detail=error.detail)

    def document(self) -> ParsedDocument:
        """Return the document.

        Raises:
            DocumentError: the answer carries one.
        """
        if self.reason:
            raise DocumentError(Reason(self.reason), self.detail)
        metadata: dict[str, Json] = msgspec.convert(self.metadata, dict)
        return ParsedDocument(self.text, Markup(self.markup), self.media_type, self.title, metadata)


def encode(message: Request | Answer | Limits) -> bytes:
    """Return a message as it crosses the pipe."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
