"""Paths fit to identify a document: printable UTF-8, in NFC, and never two documents under one path."""

import codecs
import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

_DIGITS = 8


def printable(name: str) -> str:
    r"""Return a name in NFC, with bytes that are no UTF-8 and control characters percent-encoded.

    >>> printable("caf\udce9.txt")
    'caf%E9.txt'
    """
    raw = name.encode("utf-8", "surrogateescape" if _only_escaped_bytes(name) else "surrogatepass")
    text = raw.decode("utf-8", "pipelines-percent")
    shown = "".join(f"%{ord(char):02X}" if unicodedata.category(char) == "Cc" else char for char in text)
    return unicodedata.normalize("NFC", shown)


def unique_names(names: Iterable[str]) -> dict[str, str]:
    """Map names of one folder to printable names that differ.

    A name that is printable as it stands keeps it. Of names that would become the same (an NFC and
    an NFD spelling of one word), the others carry a digest of their own bytes before the suffix, so
    that neither depends on the order of the listing.
    """
    shown = {name: printable(name) for name in sorted(set(names))}
    taken: dict[str, str] = {name: name for name, path in shown.items() if name == path}
    for name, path in shown.items():
        if taken.setdefault(path, name) != name:
            shown[name] = _with_digest(name, path)
    return shown


def _with_digest(name: str, path: str) -> str:
    raw = name.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(raw).hexdigest()[:_DIGITS]
    pure = PurePosixPath(path)
    return str(pure.with_name(f"{pure.stem}~{digest}{pure.suffix}"))


def _only_escaped_bytes(name: str) -> bool:
    """Whether every surrogate stands for a byte that the file system gave, as `os.fsdecode` writes it."""
    return not any("\ud800" <= char <= "\udfff" and not "\udc80" <= char <= "\udcff" for char in name)


def _percent(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    return "".join(f"%{byte:02X}" for byte in wrong), error.end


codecs.register_error("pipelines-percent", _percent)
