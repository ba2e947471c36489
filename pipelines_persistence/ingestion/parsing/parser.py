"""The parser that the platform uses: trusted formats here, all others in a sandbox."""

from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

from pipelines_persistence.ingestion.parsing.content import parse_content, unpacked
from pipelines_persistence.ingestion.parsing.detect import Kind, detect
from pipelines_persistence.ingestion.parsing.limits import Limits
from pipelines_persistence.ingestion.parsing.sandbox import Sandbox
from pipelines_persistence.records import ParsedDocument

if TYPE_CHECKING:
    from pipelines_persistence.configuration import LimitsConfig

REVISION = 1
"""Raised whenever the code here may give another text for the same bytes."""
_LIBRARIES = (
    "charset-normalizer",
    "html-to-markdown",
    "mammoth",
    "pypdfium2",
    "python-calamine",
    "python-pptx",
    "selectolax",
)
_SIMPLE = frozenset({Kind.MARKDOWN, Kind.RST, Kind.PLAIN, Kind.CODE, Kind.PACKAGE})
_SMALL = 2 * 2**20
"""Simple formats up to this many bytes are parsed here: a message to the child costs more than they do."""


class Parser:
    """Implements the `DocumentParser` port; safe to share between threads."""

    def __init__(self, limits: "LimitsConfig") -> None:
        """Keep the bounds; the child process starts with the first document that needs it."""
        self._limits = Limits(
            max_pages=limits.max_pages,
            max_expansion=limits.max_expansion,
            max_text=limits.max_text,
            seconds=limits.seconds,
            memory=limits.memory,
        )
        self._sandbox = Sandbox(self._limits)

    @cached_property
    def version(self) -> str:
        """Our revision and the versions of the libraries that decide the text."""
        return "; ".join([f"parser {REVISION}", *(f"{name} {version(name)}" for name in _LIBRARIES)])

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the text of a document; see the port.

        Raises:
            DocumentError: with the reason why there is no text.
        """
        found = detect(data, path, self._limits)
        data, path, found = unpacked(data, path, self._limits, found)
        if found.kind in _SIMPLE and len(data) <= _SMALL:
            return parse_content(data, path, self._limits, found)
        return self._sandbox.parse(data, path)

    def close(self) -> None:
        """End the child process; safe to call twice."""
        self._sandbox.close()
