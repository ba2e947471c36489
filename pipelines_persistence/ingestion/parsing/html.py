"""HTML to Markdown: the main content, without what a site repeats on every page.

selectolax finds the parts, html-to-markdown writes them. Losing text is worse than keeping a menu:
whenever the reduced page is much shorter than the whole one, the whole one is taken.
"""

import re
from typing import Any

from pipelines_persistence.ingestion.parsing.decode import decode, normalize
from pipelines_persistence.records import Json, Markup, ParsedDocument

MEDIA_TYPE = "text/html"
_INVISIBLE = (
    "script, style, noscript, template, iframe, svg, object, embed, link, meta, a.headerlink, a.anchor-link"
)
_FURNITURE = (
    "nav, footer, [role=navigation], [role=contentinfo], [role=search], [role=banner], [aria-hidden=true], "
    "div.related, div.sphinxsidebar, #footer, #sidebar, .sidebar, .breadcrumb, .breadcrumbs, .navbar, "
    ".navheader, .navfooter, .skip-link, .cookie-banner"
)
_MAIN = ("main", "[role=main]", "article", "body")
_MAIN_SHARE = 0.4
"""The least share of the page's text that makes an element the main content ..."""
_KEPT_SHARE = 0.3
"""... and that removing the furniture must leave."""
_LINE_OF_BLANKS = re.compile(r"[ \t]+\n")
_MANY_LINES = re.compile(r"\n{3,}")


def parse_html(data: bytes, declared: str | None = None) -> ParsedDocument:
    """Return the main content of a page as Markdown.

    Raises:
        DocumentError: BINARY or UNDECODABLE.
    """
    return convert_page(decode(data, declared))


def convert_page(text: str) -> ParsedDocument:
    """Return the main content of a decoded page as Markdown."""
    tree = _tree(text)
    title, metadata = _title(tree), _metadata(tree)
    _remove(tree, _INVISIBLE)
    whole = _length(tree.body)
    _remove(tree, _FURNITURE)
    if _length(tree.body) < whole * _KEPT_SHARE:
        tree = _tree(text)
        _remove(tree, _INVISIBLE)
    markdown = to_markdown(_main(tree))
    if len("".join(markdown.split())) < _length(tree.body) * _MAIN_SHARE * _KEPT_SHARE:
        # html-to-markdown stops at a depth of 1,024 elements, without a word.
        markdown = normalize(tree.body.text(deep=True, separator="\n", strip=True))
    return ParsedDocument(markdown, Markup.MARKDOWN, MEDIA_TYPE, title, metadata)


def to_markdown(html: str) -> str:
    """Write HTML as Markdown: structure kept, addresses of links and pictures dropped as noise for retrieval."""
    from html_to_markdown import ConversionOptions, PreprocessingOptions, convert

    options = ConversionOptions(
        heading_style="atx",
        bullets="-",
        extract_metadata=False,
        compact_tables=True,
        autolinks=False,
        skip_images=True,
        newline_style="backslash",
        hidden_content="reachable",
        preprocessing=PreprocessingOptions(enabled=False),  # what goes and what stays is decided here
    )
    text = normalize(convert(html, options).content or "")
    return _MANY_LINES.sub("\n\n", _LINE_OF_BLANKS.sub("\n", text)).strip("\n")


def _tree(text: str) -> Any:  # noqa: ANN401 - the element types are not public
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    try:
        return LexborHTMLParser(text)
    except SelectolaxError as error:
        # Every text is HTML to lexbor: it fails only where it cannot allocate.
        raise MemoryError from error


def _main(tree: Any) -> str:  # noqa: ANN401 - the library gives no type
    """Return the HTML of the first element that holds enough of the page to be its content."""
    _flatten_links(tree)
    whole = _length(tree.body)
    for selector in _MAIN:
        found = tree.css(selector)
        if len(found) == 1 and _length(found[0]) >= whole * _MAIN_SHARE:
            return str(found[0].html or "")
    return str(tree.html or "")


def _flatten_links(tree: Any) -> None:  # noqa: ANN401 - the library gives no type
    for node in tree.css("a"):
        node.unwrap()


def _remove(tree: Any, selector: str) -> None:  # noqa: ANN401 - the library gives no type
    for node in tree.css(selector):
        if node.tag not in {"html", "body", "main"}:
            node.decompose()


def _length(node: Any) -> int:  # noqa: ANN401 - the library gives no type
    return len("".join(node.text(deep=True, separator=" ").split())) if node is not None else 0


def _title(tree: Any) -> str:  # noqa: ANN401 - the library gives no type
    for selector in ("head title", "title", "h1"):
        node = tree.css_first(selector)
        if node is not None and (title := " ".join(node.text(deep=True).split())):
            return title.removesuffix("¶").strip()
    return ""


def _metadata(tree: Any) -> dict[str, Json]:  # noqa: ANN401 - the library gives no type
    found: dict[str, Json] = {}
    if (root := tree.root) is not None and (language := root.attributes.get("lang")):
        found["language"] = language
    for name in ("description", "author", "keywords"):
        node = tree.css_first(f"head meta[name={name}]")
        if node is not None and (content := (node.attributes.get("content") or "").strip()):
            found[name] = content
    return found
