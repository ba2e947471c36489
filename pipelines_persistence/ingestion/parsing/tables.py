"""Rows and records as text: each stands alone, with the names of its fields, so that a search finds it."""

import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing.limits import Limits

_NUMBER = re.compile(r"[-+]?[\d.,:/ ]+%?")
_SNIFFED = 64 * 1024
_MAX_FIELD = 1 << 24
_RECORD_LINES = 40
"""A mapping of up to this many values is one record; a larger one is a list of them."""


def csv_as_text(text: str, path: str, limits: Limits) -> str:
    """Return delimited text with a line for each row: `column: value; column: value`."""
    csv.field_size_limit(_MAX_FIELD)
    rows = csv.reader(io.StringIO(text), _dialect(text, path))
    try:
        return records_as_text(rows, limits)
    except csv.Error as error:
        raise DocumentError(Reason.MALFORMED, f"no valid CSV: {error}") from error


def records_as_text(rows: Iterable[Sequence[str]], limits: Limits) -> str:
    """Return a line for each row that holds something; the first row names the columns if it looks like names."""
    rows = (row for row in rows if any(cell.strip() for cell in row))
    first = next(rows, None)
    if first is None:
        return ""
    if (named := _is_header(first)) and (second := next(rows, None)) is None:
        return ", ".join(cell.strip() for cell in first)
    body = itertools.chain([second] if named and second is not None else [first], rows)
    columns = [cell.strip() for cell in first] if named else []
    return _joined((_row(columns, row) for row in body), "\n", limits)


def json_as_text(text: str, limits: Limits) -> str:
    """Return a document as lines of `path.to.key: value`, a blank line between the records of a list.

    Raises:
        ValueError: it is no JSON.
        DocumentError: MALFORMED when it is nested too deeply, TOO_LARGE.
    """
    try:
        return _joined(_records(load_json(text)), "\n\n", limits)
    except RecursionError:
        raise DocumentError(Reason.MALFORMED, "nested too deeply") from None


def jsonl_as_text(text: str, limits: Limits) -> str:
    """Return the lines as records; a line that is no JSON stays as it is."""
    return _joined((_line(line) for line in text.splitlines() if line.strip()), "\n\n", limits)


def _dialect(text: str, path: str) -> type[csv.Dialect] | csv.Dialect:
    if path.lower().endswith(".tsv"):
        return csv.excel_tab
    try:
        return csv.Sniffer().sniff(text[: text.rfind("\n", 0, _SNIFFED) + 1] or text[:_SNIFFED], ",;\t|")
    except csv.Error:
        return csv.excel


def _is_header(row: Sequence[str]) -> bool:
    cells = [cell.strip() for cell in row]
    named = all(cell and not _NUMBER.fullmatch(cell) for cell in cells)
    return len(cells) > 1 and named and len(set(cells)) == len(cells)


def _row(columns: Sequence[str], row: Sequence[str]) -> str:
    cells = [" ".join(cell.split()) for cell in row]
    if not columns:
        return "; ".join(filter(None, cells))
    names = itertools.chain(columns, itertools.repeat(""))
    return "; ".join(
        f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=False) if cell
    )


def load_json(text: str) -> Any:  # noqa: ANN401 - the library gives no type
    """Return what a JSON text says, numbers as the text spells them."""
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)


def _line(line: str) -> str:
    try:
        return "\n".join(_flatten("", load_json(line)))
    except (ValueError, RecursionError):
        return line


def _records(value: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - the library gives no type
    """Yield the text of each record: the members of a list, and of a mapping what belongs together."""
    if isinstance(value, list) and _is_nested(value):
        for item in value:
            yield from _records(item, path)
        return
    lines = list(itertools.islice(_flatten(path, value), _RECORD_LINES + 1))
    if len(lines) <= _RECORD_LINES or not isinstance(value, dict):
        yield "\n".join(lines)  # what is no mapping has one line
        return
    yield "\n".join(
        _flatten(path, {key: item for key, item in value.items() if not isinstance(item, dict | list)})
    )
    for key, item in value.items():
        if isinstance(item, dict | list):
            yield from _records(item, _below(path, key))


def _is_nested(value: list[Any]) -> bool:
    return any(isinstance(item, dict | list) for item in value)


def _flatten(path: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - the library gives no type
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(_below(path, key), item)
    elif isinstance(value, list) and _is_nested(value):
        for item in value:
            yield from _flatten(path, item)
    elif isinstance(value, list) and value:
        yield f"{path}: {', '.join(map(_scalar, value))}" if path else ", ".join(map(_scalar, value))
    elif value not in (None, "", []):
        yield f"{path}: {_scalar(value)}" if path else _scalar(value)


def _scalar(value: Any) -> str:  # noqa: ANN401 - the library gives no type
    return value if isinstance(value, str) else json.dumps(value)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _joined(parts: Iterable[str], separator: str, limits: Limits) -> str:
    """Join the parts that hold something, within the bound on the text."""
    kept: list[str] = []
    size = 0
    for part in filter(None, parts):
        kept.append(part)
        size += len(part) + len(separator)
        limits.check_text(size)
    return separator.join(kept)
