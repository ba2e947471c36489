"""PDF: the text layer, page by page."""

import re
import warnings

from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing.decode import normalize
from pipelines_persistence.ingestion.parsing.limits import Limits
from pipelines_persistence.records import Json, Markup, ParsedDocument

MEDIA_TYPE = "application/pdf"
_SOFT_HYPHEN = re.compile("[\ufffe\x02\u00ad]\n?")
"""What PDFium writes where a word was divided at the end of a line."""
_LEADERS = re.compile(r"(?:[.·…] ?){4,}")
"""The dots between an entry of a table of contents and its page: many tokens, no meaning."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def parse_pdf(data: bytes, limits: Limits) -> ParsedDocument:
    """Return the text of all pages, a blank line between them.

    Raises:
        DocumentError: ENCRYPTED, MALFORMED, TOO_MANY_PAGES or TOO_LARGE.
    """
    import pypdfium2 as pdfium

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            document = pdfium.PdfDocument(data)
        except pdfium.PdfiumError as error:
            raise _refusal(error) from error
        try:
            return _parse(document, limits)
        except pdfium.PdfiumError as error:
            raise DocumentError(Reason.MALFORMED, "a damaged PDF") from error
        finally:
            document.close()


def _parse(document: "pypdfium2.PdfDocument", limits: Limits) -> ParsedDocument:  # type: ignore[name-defined]  # noqa: F821 - imported where it is used
    pages = len(document)
    limits.check_pages(pages, "pages")
    texts: list[str] = []
    size = 0
    for number in range(pages):
        texts.append(_page(document, number))
        size += len(texts[-1])
        limits.check_text(size)
    metadata: dict[str, Json] = {"pages": pages}
    if author := _clean(document.get_metadata_value("Author")).strip():
        metadata["author"] = author
    title = " ".join(_clean(document.get_metadata_value("Title")).split())
    return ParsedDocument("\n\n".join(filter(None, texts)), Markup.PLAIN, MEDIA_TYPE, title, metadata)


def _page(document: "pypdfium2.PdfDocument", number: int) -> str:  # type: ignore[name-defined]  # noqa: F821 - imported where it is used
    page = document[number]
    try:
        text_page = page.get_textpage()
        try:
            return _LEADERS.sub("... ", _clean(text_page.get_text_range())).strip()
        finally:
            text_page.close()
    finally:
        page.close()


def _clean(text: str) -> str:
    return _CONTROLS.sub("", _SOFT_HYPHEN.sub("", normalize(text)))


def _refusal(error: Exception) -> DocumentError:
    if "password" in str(error).lower() or "security" in str(error).lower():
        return DocumentError(Reason.ENCRYPTED, "a PDF protected by a password")
    return DocumentError(Reason.MALFORMED, "a damaged PDF")
