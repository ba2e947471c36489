"""The bounds on one document, as the child process needs them, and the checks that keep them."""

import zlib
from dataclasses import dataclass

from pipelines_persistence.errors import DocumentError, Reason

FREE_EXPANSION = 16 * 2**20
"""Up to here any ratio is taken: a page of blanks compresses a thousandfold and harms nobody."""
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Limits:
    """See `LimitsConfig`, which is not imported by the child: pydantic is slow to import."""

    max_pages: int
    max_expansion: int
    max_text: int
    seconds: float
    memory: int

    def check_pages(self, pages: int, word: str) -> None:
        """Refuse a document with too many pages.

        Raises:
            DocumentError: TOO_MANY_PAGES.
        """
        if pages > self.max_pages:
            detail = f"{pages:,} {word}, limits.max_pages is {self.max_pages:,}"
            raise DocumentError(Reason.TOO_MANY_PAGES, detail)

    def check_text(self, characters: int) -> None:
        """Refuse a document with too much text.

        Raises:
            DocumentError: TOO_LARGE.
        """
        if characters > self.max_text:
            detail = f"more than {self.max_text:,} characters of text (limits.max_text)"
            raise DocumentError(Reason.TOO_LARGE, detail)

    def unpacked_bound(self, packed: int) -> int:
        """Return how many bytes `packed` bytes may unpack to."""
        return max(FREE_EXPANSION, packed * self.max_expansion)

    def check_unpacked(self, packed: int, unpacked: int) -> None:
        """Refuse a document that unpacks to too much.

        Raises:
            DocumentError: EXPANSION.
        """
        if unpacked > self.unpacked_bound(packed):
            detail = (
                f"{packed:,} bytes unpack to more than limits.max_expansion ({self.max_expansion}) allows"
            )
            raise DocumentError(Reason.EXPANSION, detail)

    def gunzip(self, data: bytes) -> bytes:
        """Return the content of gzip data, of all its members.

        Raises:
            DocumentError: EXPANSION or MALFORMED.
        """
        content, rest = bytearray(), data
        while rest.startswith(b"\x1f\x8b"):
            unpacker = zlib.decompressobj(wbits=31)
            try:
                while not unpacker.eof:
                    content += (piece := unpacker.decompress(rest, _PIECE))
                    rest = unpacker.unconsumed_tail
                    self.check_unpacked(len(data), len(content))
                    if not piece and not rest and not unpacker.eof:
                        raise DocumentError(Reason.MALFORMED, "truncated gzip data")
            except zlib.error as error:
                raise DocumentError(Reason.MALFORMED, "damaged gzip data") from error
            rest = unpacker.unused_data
        return bytes(content)
