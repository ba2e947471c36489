"""Office files: documents, slides, sheets."""

import io
import logging
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from typing import Any

from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing.decode import normalize
from pipelines_persistence.ingestion.parsing.html import convert_page
from pipelines_persistence.ingestion.parsing.limits import Limits
from pipelines_persistence.ingestion.parsing.tables import records_as_text
from pipelines_persistence.records import Json, Markup, ParsedDocument

_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => h2:fresh"
_CORE = "docProps/core.xml"
_NAMESPACES = {"dc": "http://purl.org/dc/elements/1.1/"}


def parse_docx(data: bytes, media_type: str) -> ParsedDocument:
    """Return a Word document as Markdown.

    Raises:
        DocumentError: MALFORMED.
    """
    import mammoth

    logging.disable(logging.CRITICAL)
    with _damage("a damaged Word document"):
        pictures = mammoth.images.img_element(lambda _: {})
        found = mammoth.convert_to_html(io.BytesIO(data), style_map=_STYLES, convert_image=pictures)
        title, metadata = _properties(data)
    page = convert_page(found.value)
    return ParsedDocument(page.text, Markup.MARKDOWN, media_type, title or page.title, metadata)


def parse_pptx(data: bytes, media_type: str, limits: Limits) -> ParsedDocument:
    """Return the slides as Markdown, a heading for each, notes included.

    Raises:
        DocumentError: MALFORMED or TOO_MANY_PAGES.
    """
    from pptx import Presentation

    with _damage("a damaged presentation"):
        presentation = Presentation(io.BytesIO(data))
        limits.check_pages(len(presentation.slides), "slides")
        slides = [_slide(slide, number) for number, slide in enumerate(presentation.slides, start=1)]
        title, metadata = _properties(data)
    metadata["pages"] = len(slides)
    return ParsedDocument(normalize("\n\n".join(slides)), Markup.MARKDOWN, media_type, title, metadata)


def parse_spreadsheet(data: bytes, media_type: str, limits: Limits) -> ParsedDocument:
    """Return the visible sheets, a heading for each, every row with the names of its columns.

    Raises:
        DocumentError: ENCRYPTED, MALFORMED, TOO_MANY_PAGES or TOO_LARGE.
    """
    import python_calamine as calamine

    try:
        with calamine.load_workbook(io.BytesIO(data)) as workbook:
            limits.check_pages(len(workbook.sheet_names), "sheets")
            parts: list[str] = []
            for name in workbook.sheet_names:
                rows = (
                    [_cell(value) for value in row] for row in workbook.get_sheet_by_name(name).iter_rows()
                )
                if text := records_as_text(rows, limits):
                    parts.append(f"## {name}\n\n{text}")
                    limits.check_text(sum(map(len, parts)))
    except calamine.PasswordError as error:
        raise DocumentError(Reason.ENCRYPTED, "a workbook protected by a password") from error
    except calamine.CalamineError as error:
        raise DocumentError(Reason.MALFORMED, "a damaged workbook") from error
    return ParsedDocument(normalize("\n\n".join(parts)), Markup.MARKDOWN, media_type)


def _slide(slide: Any, number: int) -> str:  # noqa: ANN401 - loosely typed
    title = slide.shapes.title
    heading = " ".join(title.text_frame.text.split()) if title is not None else ""
    parts = [f"## {heading or f'Slide {number}'}"]
    parts += [text for shape in slide.shapes if shape != title for text in _texts(shape)]
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
        parts.append(frame.text.strip())
    return "\n\n".join(filter(None, parts))


def _texts(shape: Any) -> Iterator[str]:  # noqa: ANN401 - the library gives no type
    if shape.has_text_frame:
        yield shape.text_frame.text.replace("\v", "\n").strip()
    if getattr(shape, "has_table", False):
        yield "\n".join(" | ".join(cell.text.strip() for cell in row.cells) for row in shape.table.rows)
    for member in getattr(shape, "shapes", ()):
        yield from _texts(member)


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(str(value).split())


def _properties(data: bytes) -> tuple[str, dict[str, Json]]:
    """Return title and author from the part that all Open XML files may have."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if _CORE not in archive.namelist():
            return "", {}
        root = ET.fromstring(archive.read(_CORE))  # noqa: S314 - in the sandbox, and expat bounds entities
    title = " ".join((root.findtext("dc:title", "", _NAMESPACES)).split())
    author = " ".join((root.findtext("dc:creator", "", _NAMESPACES)).split())
    return normalize(title), {"author": normalize(author)} if author else {}


class _damage:  # noqa: N801 - reads as a statement
    """Whatever a library raises on damaged input is the document's fault; they share no base class."""

    def __init__(self, detail: str) -> None:
        self._detail = detail

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DocumentError | MemoryError):
            raise DocumentError(Reason.MALFORMED, self._detail) from error
