"""Formats that are text already: markup, source code, messages, package descriptions."""

import datetime as dt
import email
import email.message
import email.policy
import itertools
import re
from collections.abc import Mapping
from typing import Any

import yaml

from pipelines_persistence.ingestion.parsing.decode import decode, normalize
from pipelines_persistence.ingestion.parsing.html import convert_page
from pipelines_persistence.records import Json, Markup, ParsedDocument

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_MAX_FRONT_MATTER = 64 * 1024
_ATX = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$")
_RST_LINE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}$")
_FENCE = re.compile(r"^(```|~~~)")
_TITLE_WITHIN = 200
_INTEGERS = 2**63


class _FrontMatterLoader(yaml.SafeLoader):
    """Refuses anchors and aliases: a few of them nested expand to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - the library gives no type
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def parse_markdown(data: bytes) -> ParsedDocument:
    """Return Markdown; its front matter becomes metadata and leaves the text."""
    return _markdown(decode(data), "text/markdown")


def parse_rst(data: bytes) -> ParsedDocument:
    """Return reStructuredText as it is."""
    text = decode(data)
    return ParsedDocument(text, Markup.RESTRUCTURED_TEXT, "text/x-rst", rst_title(text))


def parse_plain(data: bytes) -> ParsedDocument:
    """Return text as it is."""
    return ParsedDocument(decode(data), Markup.PLAIN, "text/plain")


def parse_code(data: bytes) -> ParsedDocument:
    """Return source code as it is."""
    return ParsedDocument(decode(data), Markup.CODE, "text/x-code")


def parse_package(data: bytes) -> ParsedDocument:
    """Return the description of a Python package (PEP 566), its summary first."""
    message = email.message_from_string(decode(data))
    name, summary = str(message.get("Name", "")), str(message.get("Summary", ""))
    description = str(message.get_payload()).strip() or _dedent(str(message.get("Description", "")))
    text = "\n\n".join(part for part in (summary, description) if part and part != "UNKNOWN")
    declared = str(message.get("Description-Content-Type", "text/x-rst")).partition(";")[0].strip().lower()
    markups = {"text/markdown": Markup.MARKDOWN, "text/plain": Markup.PLAIN}
    fields = {"package": name, "version": message.get("Version"), "summary": summary}
    fields |= {
        "license": message.get("License-Expression"),
        "requires_python": message.get("Requires-Python"),
    }
    return ParsedDocument(
        text + "\n",
        markups.get(declared, Markup.RESTRUCTURED_TEXT),
        "application/x-python-metadata",
        name,
        {key: str(value) for key, value in fields.items() if value},
    )


def parse_email(data: bytes) -> ParsedDocument:
    """Return the body of a message, its subject as title; attachments are named, not parsed."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None and message.get_content_maintype() == "text":
        body = message
    text, markup = ("", Markup.PLAIN) if body is None else _body(body)
    metadata: dict[str, Json] = {
        key.lower(): normalize(str(message[key])) for key in ("From", "To", "Cc", "Date") if message[key]
    }
    if names := [name for part in message.iter_attachments() if (name := part.get_filename())]:
        metadata["attachments"] = names
    subject = normalize(str(message["Subject"] or "")).strip()
    return ParsedDocument(text, markup, "message/rfc822", subject, metadata)


def markdown_title(text: str) -> str:
    """Return the first heading, "" without one."""
    fenced, before = False, ""
    for line in text.split("\n", _TITLE_WITHIN)[:_TITLE_WITHIN]:
        fenced ^= bool(_FENCE.match(line))
        if fenced:
            continue
        if found := _ATX.match(line):
            return re.sub(r"\s*\{[^}]*\}$|[*_`]", "", found.group(1)).strip()
        if before and re.fullmatch(r"=+|-{2,}", line.strip()):
            return before
        before = line.strip()
    return ""


def rst_title(text: str) -> str:
    """Return the first underlined line, "" without one."""
    lines = text.split("\n", _TITLE_WITHIN)[:_TITLE_WITHIN]
    for title, underline in itertools.pairwise(lines):
        long_enough = len(underline.rstrip()) >= len(title.strip()) > 0
        if long_enough and _RST_LINE.match(underline.rstrip()) and not _RST_LINE.match(title.strip()):
            return title.strip()
    return ""


def _markdown(text: str, media_type: str) -> ParsedDocument:
    metadata: dict[str, Json] = {}
    found = _FRONT_MATTER.match(text)
    if found and (fields := _front_matter(found.group(1) or "")) is not None:
        text, metadata = text[found.end() :], fields
    title = metadata.get("title")
    return ParsedDocument(
        text,
        Markup.MARKDOWN,
        media_type,
        title if isinstance(title, str) else markdown_title(text),
        metadata,
    )


def _front_matter(text: str) -> dict[str, Json] | None:
    """Return the fields, None when what stands between the lines is no front matter: it stays text."""
    if len(text) > _MAX_FRONT_MATTER:
        return None
    try:
        fields = yaml.load(text, Loader=_FrontMatterLoader)  # noqa: S506 - derived from SafeLoader
        return {} if fields is None else _typed(fields) if isinstance(fields, dict) else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _typed(value: Mapping[Any, Any]) -> dict[str, Json]:
    return {normalize(str(key)): _json(item) for key, item in value.items()}


def _json(value: Any) -> Json:  # noqa: ANN401, PLR0911 - a table of types
    """Return a YAML value as JSON can hold it: dates in ISO 8601, what has no type there as text."""
    if isinstance(value, Mapping):
        return _typed(value)
    if isinstance(value, list | tuple | set):
        return [_json(item) for item in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -_INTEGERS <= value < _INTEGERS:
        return value
    if isinstance(value, float) and abs(value) != float("inf") and value == value:  # noqa: PLR0124 - NaN
        return value
    return normalize(str(value))


def _dedent(description: str) -> str:
    """Undo the indentation that headers of many lines need; older tools mark it with a bar."""
    return "\n".join(re.sub(r"^(?: {7}\|| {8})", "", line) for line in description.split("\n")).strip()


def _body(part: email.message.MIMEPart) -> tuple[str, Markup]:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    if not payload:
        return "", Markup.PLAIN
    text = decode(payload, part.get_content_charset())
    if part.get_content_type() == "text/html":
        return convert_page(text).text, Markup.MARKDOWN
    return text, Markup.PLAIN
