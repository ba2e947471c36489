"""One document, in this process: detect, then hand it to the parser of its kind."""

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


def _parse(data: bytes, path: str, limits: Limits, found: Format) -> ParsedDocument:  # noqa: PLR0911 - a table
    match found.kind:
        case Kind.PDF:
            return pdf.parse_pdf(data, limits)
        case Kind.DOCX:
            return office.parse_docx(data, found.media_type)
        case Kind.PPTX:
            return office.parse_pptx(data, found.media_type, limits)
        case Kind.SPREADSHEET:
            return office.parse_spreadsheet(data, found.media_type, limits)
        case Kind.HTML:
            return parse_html(data)
        case Kind.CSV:
            return structured.parse_csv(data, path, limits)
        case Kind.JSON:
            return structured.parse_json(data, limits)
        case Kind.JSONL:
            return structured.parse_jsonl(data, limits)
        case Kind.NOTEBOOK:
            return structured.parse_notebook(data)
        case Kind.EMAIL:
            return text.parse_email(data)
        case Kind.PACKAGE:
            return text.parse_package(data)
        case Kind.MARKDOWN:
            return text.parse_markdown(data)
        case Kind.RST:
            return text.parse_rst(data)
        case Kind.CODE:
            return text.parse_code(data)
        case Kind.PLAIN:
            return text.parse_plain(data)
        case Kind.EPUB | Kind.GZIP:
            raise DocumentError(Reason.UNSUPPORTED, f"{found.media_type} cannot be parsed")


def _hint(found: Format) -> str:
    return "; is it a scan?" if found.kind is Kind.PDF else ""
