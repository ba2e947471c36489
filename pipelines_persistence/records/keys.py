"""Keys: how a field of a payload is named, in filters and in the configuration. Qdrant's own notation.

A dot descends into a mapping, `[]` into each element of a list and `[0]` into one. A name with any other sign in it than
letters, digits, '-', '_' and spaces is put into double quotes: `"a.b"` is one name, and `a.b` are two.
"""

import re

from pipelines_persistence.errors import ConfigurationError

_NAME = r'(?:[^."\[\]\\]+|"[^"\\]+")'
_STEP = rf"({_NAME})((?:\[\d{{0,9}}\])*)"
_PATH = re.compile(rf"{_STEP}(?:\.{_STEP})*")
_STEPS = re.compile(_STEP)
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a sign, which no store can hold
_PLAIN = re.compile(r"[\w-]+")

_PAYLOAD_FIELDS = frozenset(
    {
        "document",
        "source",
        "title",
        "text",
        "headings",
        "ordinal",
        "start",
        "end",
        "tokens",
        "media_type",
        "metadata",
    }
)


def field_path(key: str) -> str:
    """Return a key as the engine writes it: with quotes around the names that need them, and no others.

    Raises:
        ConfigurationError: it is none.
    """
    if not _PATH.fullmatch(key) or _SURROGATE.search(key):
        raise ConfigurationError(
            f"{key!r} is no key of a field: write it like team, author.name, offers[].price, headings[0] or "
            '"a name with.signs"; a name with a quotation mark or a backslash in it has to be renamed'
        )
    return ".".join(_quoted(name.strip('"')) + brackets for name, brackets in _STEPS.findall(key))


def payload_key(key: str) -> str:
    """Return where a field stands in the payload: what is no field of ours is a key of the document's metadata.

    Raises:
        ConfigurationError: it is no key.
    """
    path = field_path(key)
    first = _STEPS.match(path)
    return path if first and first[1] in _PAYLOAD_FIELDS else f"metadata.{path}"


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f'"{name}"'
