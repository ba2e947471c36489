"""Where a text may be cut: headings, paragraphs and code fences, with their place in the text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pipelines_persistence.records import Markup

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_ATTRIBUTE = re.compile(r"\s*\{\s*[#.:][^}]*\}\s*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph or a code fence: `text[start:end]`, without the blank lines around it.

    Attributes:
        level: 1 for the outermost heading, 0 for what is no heading.
        title: of a heading.
    """

    start: int
    end: int
    level: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def is_blank(self) -> bool:
        return not self.text or self.text.isspace()


def scan(text: str, markup: Markup) -> list[Block]:
    """Return the blocks of a text in order; what lies between two of them is white space."""
    lines = list(_lines(text))
    return list(_SCANNERS[markup](lines))


def _lines(text: str) -> Iterator[_Line]:
    # Not str.splitlines: it also cuts at form feeds and Unicode separators, which are no line ends here.
    start = 0
    for line in text.split("\n"):
        yield _Line(start, line)
        start += len(line) + 1


def _plain(lines: list[_Line]) -> Iterator[Block]:
    paragraph: list[_Line] = []
    for line in lines:
        if not line.is_blank:
            paragraph.append(line)
        elif paragraph:
            yield _join(paragraph)
            paragraph = []
    if paragraph:
        yield _join(paragraph)


def _join(lines: list[_Line]) -> Block:
    return Block(lines[0].start, lines[-1].start + len(lines[-1].text.rstrip()))


def _markdown(lines: list[_Line]) -> Iterator[Block]:
    paragraph: list[_Line] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        block, taken = _markdown_block(lines, position, paragraph)
        if block is None:
            if line.is_blank:
                yield from _plain(paragraph)
                paragraph = []
            else:
                paragraph.append(line)
        else:
            if (
                not paragraph or block.start > paragraph[0].start
            ):  # else the heading is underlined and took it
                yield from _plain(paragraph)
            paragraph = []
            yield block
        position += taken
    yield from _plain(paragraph)


def _markdown_block(lines: list[_Line], position: int, paragraph: list[_Line]) -> tuple[Block | None, int]:
    """Recognise a fence or a heading at a line; `paragraph` holds the lines right before it."""
    line = lines[position]
    if fence := _FENCE.match(line.text):
        taken = _fence_length(lines, position, fence.group(1))
        return _join(lines[position : position + taken]), taken
    if atx := _ATX.match(line.text):
        title = _ATTRIBUTE.sub("", atx.group(2) or "").strip()
        return replace(_join([line]), level=len(atx.group(1)), title=title), 1
    if len(paragraph) == 1 and (setext := _SETEXT.match(line.text)):
        level = 1 if setext.group(1).startswith("=") else 2
        return replace(_join([*paragraph, line]), level=level, title=paragraph[0].text.strip()), 1
    return None, 1


def _fence_length(lines: list[_Line], position: int, mark: str) -> int:
    for offset, line in enumerate(lines[position + 1 :], start=2):
        closing = line.text.strip()
        if len(closing) >= len(mark) and set(closing) == {mark[0]}:
            return offset
    return len(lines) - position


def _restructured_text(lines: list[_Line]) -> Iterator[Block]:
    styles: list[str] = []  # adornments in the order of their first use: the n-th is level n
    paragraph: list[_Line] = []
    position = 0
    while position < len(lines):
        taken, style = _rst_title(lines, position)
        if taken:
            yield from _plain(paragraph)
            paragraph = []
            if style not in styles:
                styles.append(style)
            title = next(line.text.strip() for line in lines[position:] if not _ADORNMENT.match(line.text))
            yield replace(
                _join(lines[position : position + taken]), level=styles.index(style) + 1, title=title
            )
        else:
            paragraph.append(lines[position])
        position += taken or 1
    yield from _plain(paragraph)


def _rst_title(lines: list[_Line], position: int) -> tuple[int, str]:
    """Return how many lines a section title takes here (0: there is none) and its style of adornment."""
    window = [line.text.rstrip() for line in lines[position : position + 3]]
    if len(window) == 3 and _ADORNMENT.match(window[0]) and window[0] == window[2] and window[1].strip():
        return 3, "over" + window[0][0]
    if len(window) >= 2 and _is_underlined(window[0], window[1]):
        return 2, window[1][0]
    return 0, ""


def _is_underlined(title: str, underline: str) -> bool:
    is_title = bool(title) and not title[0].isspace() and not _ADORNMENT.match(title)
    return is_title and bool(_ADORNMENT.match(underline)) and len(underline) >= len(title)


_SCANNERS: dict[Markup, Callable[[list[_Line]], Iterator[Block]]] = {
    Markup.MARKDOWN: _markdown,
    Markup.RESTRUCTURED_TEXT: _restructured_text,
    Markup.PLAIN: _plain,
    Markup.CODE: _plain,
}
