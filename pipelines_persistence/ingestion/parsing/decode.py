"""Bytes to text: whatever the encoding says of itself first, then the most plausible reading.

The order: byte order mark; UTF-16 and UTF-32 without one; seven-bit encodings that switch by escape
sequences; strict UTF-8, which nothing else passes by chance; what the document declares; a legacy
encoding by plausibility; UTF-8 with a few damaged places.
"""

import codecs
import re
import unicodedata

from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing.legacy import decode_legacy
from pipelines_persistence.ingestion.parsing.plausibility import SIMPLIFIED, likelihood

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_ISO_2022 = ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_3")
# What people declare is often the narrower codec of the one they use (as in the WHATWG Encoding standard).
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "cp950",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
}
_CONTROLS = bytes(sorted(set(range(32)) - set(b"\t\n\r\f\v\b\x0e\x0f\x1a\x1b")))
_DECLARATIONS = (
    re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{2,40})", re.IGNORECASE),
    re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE),
    re.compile(rb"^[ \t\f]*(?:#|//|;|%|/\*|\.\\\").{0,60}?coding[:=][ \t]*([\w.-]{2,40})", re.MULTILINE),
)
_DECLARED_WITHIN = 2048
_SURROGATES = re.compile("[\ud800-\udfff]")
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\n\r"
_SCATTERED_NULS = 0.1
_MOSTLY = 0.98
_WIDE_SAMPLE = 4096
_STRAY_CONTROLS = 0.005
_SOUND_TO_DAMAGED = 20
_PLAUSIBLE_CHINESE = -10.0


def decode(data: bytes, declared: str | None = None) -> str:
    r"""Return the text of a document, with '\n' line ends, no byte order mark, NUL or lone surrogate.

    Args:
        data: the whole document.
        declared: the charset that its envelope names, such as the header of a message.

    Raises:
        DocumentError: BINARY or UNDECODABLE.
    """
    return normalize(_decode(data, declared))


def normalize(text: str) -> str:
    """Return text with one kind of line end, and nothing in it that cannot be stored as UTF-8."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return _SURROGATES.sub("\ufffd", text)


def _decode(data: bytes, declared: str | None) -> str:
    for mark, codec in _MARKS:
        if data.startswith(mark) and (text := _strictly(data[len(mark) :], codec)) is not None:
            return text
    data = data.rstrip(b"\0") if not data.endswith(b"\n\0") else data
    if _is_ascii_with_nuls(data):
        data = data.replace(
            b"\0", b""
        )  # a log with gaps: its text must not be lost for them, nor read as UTF-16
    if _has_controls(data):
        if (text := _wide(data)) is not None:
            return text
        raise DocumentError(Reason.BINARY, "neither text nor a format that can be parsed")
    if data.isascii() and (text := _switching(data)) is not None:
        return text
    for name in ("utf-8", declared or declared_encoding(data)):
        if name and (text := _strictly(data, name)) is not None:
            return text
    return _guess(data)


def declared_encoding(data: bytes) -> str | None:
    """Return the codec that an HTML, XML or source document names for itself, None without one."""
    head = data[:_DECLARED_WITHIN]
    found = next((found for pattern in _DECLARATIONS if (found := pattern.search(head))), None)
    return found.group(1).decode("ascii", "replace") if found else None


def _strictly(data: bytes, name: str) -> str | None:
    try:
        codec = codecs.lookup(name).name
        # UTF-16 in a declaration that could be read byte by byte is a mistake.
        return data.decode(_WIDER.get(codec, codec), "strict")
    except (LookupError, UnicodeError, ValueError):
        return None


def _wide(data: bytes) -> str | None:
    """Read UTF-16 or UTF-32 without a mark: every character must be one that texts hold."""
    for codec, width in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        if len(data) % width and codec.endswith("le"):
            padded = data + b"\0" * (width - len(data) % width)  # its last NULs were taken for padding
        else:
            padded = data[: len(data) - len(data) % width]
        text = _strictly(padded, codec)
        if text and _is_text(text[:_WIDE_SAMPLE]):
            return text
    return None


def _is_text(text: str) -> bool:
    categories = {unicodedata.category(char) for char in set(text) - set("\t\n\r\f\v")}
    spaces = any(char in text for char in " \n\u3000\u3002")
    return spaces and not categories & {"Cc", "Cn", "Co", "Cs"}


def _has_controls(data: bytes) -> bool:
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return controls > max(1, len(data) * _STRAY_CONTROLS)


def _is_ascii_with_nuls(data: bytes) -> bool:
    """Whether NULs lie scattered in ASCII; UTF-16 of Latin has one in two bytes, and of CJK far fewer ASCII bytes."""
    nuls = data.count(b"\0")
    printable = len(data) - len(data.translate(None, _PRINTABLE))
    return 0 < nuls <= len(data) * _SCATTERED_NULS and printable + nuls >= len(data) * _MOSTLY


def _switching(data: bytes) -> str | None:
    """Read ISO-2022 and HZ, which look like ASCII until their escape sequences are read."""
    if b"\x1b$)C" in data:
        return _strictly(data, "iso2022_kr")
    if re.search(rb"\x1b\$[@B(]|\x1b\([IJ]", data):
        return next((text for codec in _ISO_2022 if (text := _strictly(data, codec)) is not None), None)
    if re.search(rb"~\{(?:[!-}][!-~])+~\}", data):
        text = _strictly(data, "hz")
        return text if text and _is_chinese(text) else None
    return None


def _is_chinese(text: str) -> bool:
    """Whether what HZ read is Chinese, not a template that happens to use `~{`."""
    return likelihood(text, SIMPLIFIED).average > _PLAUSIBLE_CHINESE


def _guess(data: bytes) -> str:
    damaged = data.decode("utf-8", "replace")
    losses = damaged.count("\ufffd")
    sound = sum(char >= "\x80" for char in damaged) - losses
    if sound >= losses * _SOUND_TO_DAMAGED:
        return damaged
    text = decode_legacy(data)
    if text is None:
        text = _last_resort(data)
    if text is None:
        raise DocumentError(Reason.UNDECODABLE, "no encoding gives a plausible text")
    return text


def _last_resort(data: bytes) -> str | None:
    """Ask charset-normalizer, which knows encodings that no candidate here covers."""
    from charset_normalizer import from_bytes

    best = from_bytes(data[: 1 << 20], threshold=0.1).best()
    return _strictly(data, best.encoding) if best is not None else None
