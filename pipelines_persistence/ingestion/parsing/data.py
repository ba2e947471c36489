"""Structured text: CSV, JSON, JSON Lines, notebooks."""

import json

from pipelines_persistence.ingestion.parsing.decode import decode, normalize
from pipelines_persistence.ingestion.parsing.limits import Limits
from pipelines_persistence.ingestion.parsing.tables import csv_as_text, json_as_text, jsonl_as_text
from pipelines_persistence.ingestion.parsing.text import markdown_title
from pipelines_persistence.records import Markup, ParsedDocument


def parse_csv(data: bytes, path: str, limits: Limits) -> ParsedDocument:
    """Return the rows as lines, each with the names of its columns.

    Raises:
        DocumentError: MALFORMED or TOO_LARGE.
    """
    return ParsedDocument(normalize(csv_as_text(decode(data), path, limits)), Markup.PLAIN, "text/csv")


def parse_json(data: bytes, limits: Limits) -> ParsedDocument:
    """Return the values as lines, each with its path; what is no strict JSON (comments) stays as it is.

    Raises:
        DocumentError: MALFORMED or TOO_LARGE.
    """
    text = decode(data)
    try:
        return ParsedDocument(normalize(json_as_text(text, limits)), Markup.PLAIN, "application/json")
    except ValueError:
        return ParsedDocument(text, Markup.CODE, "application/json")


def parse_jsonl(data: bytes, limits: Limits) -> ParsedDocument:
    """Return each line as a record.

    Raises:
        DocumentError: TOO_LARGE.
    """
    text = normalize(jsonl_as_text(decode(data), limits))
    return ParsedDocument(text, Markup.PLAIN, "application/x-ndjson")


def parse_notebook(data: bytes) -> ParsedDocument:
    """Return the cells of a Jupyter notebook as Markdown, code in fences, without outputs."""
    media_type = "application/x-ipynb+json"
    text = decode(data)
    try:
        cells = json.loads(text)["cells"]
        parts = [_cell(str(cell["cell_type"]), "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ParsedDocument(text, Markup.CODE, media_type)
    found = normalize("\n\n".join(filter(None, parts)))
    return ParsedDocument(found, Markup.MARKDOWN, media_type, markdown_title(found))


def _cell(kind: str, source: str) -> str:
    source = source.strip("\n")
    return f"```python\n{source}\n```" if kind == "code" and source else source
