"""One document, in this process: detect, then hand it to the parser of its kind."""

from collections.abc import Callable
from dataclasses import replace

from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing import data as structured
from pipelines_persistence.ingestion.parsing import office, pdf, text
from pipelines_persistence.ingestion.parsing.decode import normalize
from pipelines_persistence.ingestion.parsing.detect import Format, Kind, detect
from pipelines_persistence.ingestion.parsing.html import parse_html
from pipelines_persistence.ingestion.parsing.limits import Limits
from pipelines_persistence.records import ParsedDocument

_MAX_NESTED = 3
_OF_BYTES: dict[Kind, Callable[[bytes], ParsedDocument]] = {
    Kind.HTML: parse_html,
    Kind.NOTEBOOK: structured.parse_notebook,
    Kind.EMAIL: text.parse_email,
    Kind.PACKAGE: text.parse_package,
    Kind.MARKDOWN: text.parse_markdown,
    Kind.RST: text.parse_rst,
    Kind.CODE: text.parse_code,
    Kind.PLAIN: text.parse_plain,
}
_BOUNDED: dict[Kind, Callable[[bytes, Limits], ParsedDocument]] = {
    Kind.PDF: pdf.parse_pdf,
    Kind.JSON: structured.parse_json,
    Kind.JSONL: structured.parse_jsonl,
}


def parse_content(data: bytes, path: str, limits: Limits, found: Format | None = None) -> ParsedDocument:
    """Return the text of a document.

    Args:
        data: its whole content.
        path: decides where the content does not.
        limits: what it may cost.
        found: what `detect` said, if it was asked already.

    Raises:
        DocumentError: with the reason why there is no text.
    """
    data, path, found = unpacked(data, path, limits, found or detect(data, path, limits))
    document = _parse(data, path, limits, found)
    limits.check_text(len(document.text))
    if not document.text.strip():
        raise DocumentError(Reason.NO_TEXT, f"{document.media_type} without any text{_hint(found)}")
    return replace(document, title=normalize(document.title))


def unpacked(data: bytes, path: str, limits: Limits, found: Format) -> tuple[bytes, str, Format]:
    """Return the document inside gzip data, and what it is; any other as it stands.

    Raises:
        DocumentError: EXPANSION, MALFORMED, and what `detect` raises of the inner document.
    """
    for _ in range(_MAX_NESTED):
        if found.kind is not Kind.GZIP:
            return data, path, found
        data = limits.gunzip(data)
        path = path[:-3] if path.lower().endswith(".gz") else path
        found = detect(data, path, limits)
    raise DocumentError(Reason.EXPANSION, "gzip within gzip within gzip")


def _parse(data: bytes, path: str, limits: Limits, found: Format) -> ParsedDocument:
    if found.kind in _OF_BYTES:
        return _OF_BYTES[found.kind](data)
    if found.kind in _BOUNDED:
        return _BOUNDED[found.kind](data, limits)
    match found.kind:
        case Kind.DOCX:
            return office.parse_docx(data, found.media_type)
        case Kind.PPTX:
            return office.parse_pptx(data, found.media_type, limits)
        case Kind.SPREADSHEET:
            return office.parse_spreadsheet(data, found.media_type, limits)
        case Kind.CSV:
            return structured.parse_csv(data, path, limits)
        case _:
            raise DocumentError(Reason.UNSUPPORTED, f"{found.media_type} cannot be parsed")


def _hint(found: Format) -> str:
    return "; is it a scan?" if found.kind is Kind.PDF else ""
