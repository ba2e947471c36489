"""What a document is: by magic bytes and structure first, by the suffix of its path second."""

import io
import re
import zipfile
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import PurePosixPath

from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing.limits import Limits

_OOXML = "application/vnd.openxmlformats-officedocument."
_ENCRYPTED = 0x1


class Kind(Enum):
    """Which parser takes a document."""

    PDF = auto()
    DOCX = auto()
    PPTX = auto()
    SPREADSHEET = auto()
    EPUB = auto()
    GZIP = auto()
    HTML = auto()
    CSV = auto()
    JSON = auto()
    JSONL = auto()
    NOTEBOOK = auto()
    EMAIL = auto()
    PACKAGE = auto()
    MARKDOWN = auto()
    RST = auto()
    CODE = auto()
    PLAIN = auto()


@dataclass(frozen=True, slots=True)
class Format:
    """What a document was found to be."""

    kind: Kind
    media_type: str


_MAGIC: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"II*\0", 0, "image/tiff"),
    (b"MM\0*", 0, "image/tiff"),
    (b"\0\0\x01\0", 0, "image/x-icon"),
    (b"8BPS", 0, "image/vnd.adobe.photoshop"),
    (b"ftyp", 4, "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, "video/x-matroska"),
    (b"AVI ", 8, "video/x-msvideo"),
    (b"WAVE", 8, "audio/x-wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"wOFF", 0, "font/woff"),
    (b"wOF2", 0, "font/woff2"),
    (b"OTTO", 0, "font/otf"),
    (b"\0\x01\0\0\0", 0, "font/ttf"),
    (b"BZh", 0, "application/x-bzip2"),
    (b"\xfd7zXZ\0", 0, "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", 0, "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", 0, "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", 0, "application/vnd.rar"),
    (b"ustar", 257, "application/x-tar"),
    (b"SQLite format 3\0", 0, "application/vnd.sqlite3"),
    (b"PAR1", 0, "application/vnd.apache.parquet"),
    (b"ARROW1", 0, "application/vnd.apache.arrow.file"),
    (b"Obj\x01", 0, "application/avro"),
    (b"\x89HDF\r\n\x1a\n", 0, "application/x-hdf5"),
    (b"\x7fELF", 0, "application/x-elf"),
    (b"\0asm", 0, "application/wasm"),
    (b"\xca\xfe\xba\xbe", 0, "application/java-vm"),
    (b"{\\rtf", 0, "application/rtf"),
    (b"%!PS", 0, "application/postscript"),
)
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL
)
_SVG = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype\s+svg[^>]*>\s*)?<svg[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_HEADERS = re.compile(rb"(?:[A-Za-z][\w-]*:[^\n]*\n(?:[ \t][^\n]*\n)*){3,}(?=\r?\n)")
_OF_MAIL = re.compile(rb"^(?:Return-Path|Received|Message-ID|MIME-Version):", re.IGNORECASE | re.MULTILINE)
"""What people do not write by hand: notes often start with From: and Subject: too."""
_CODE = """
.py .pyi .pyx .js .mjs .cjs .ts .tsx .jsx .vue .svelte .java .kt .scala .groovy .c .h .cc .cpp .hpp .cs .go .rs
.rb .php .swift .m .lua .pl .pm .r .jl .ex .exs .erl .hs .clj .sh .bash .zsh .fish .ps1 .bat .sql .graphql .proto
.tf .css .scss .less .xml .xsd .xsl .yaml .yml .toml .ini .cfg .conf .properties .env .cmake .mk .gradle .json5
.dockerfile .jsonc .nix .el .lisp .vim .asm .s .f90 .cu .sol .zig .dart .diff .patch
"""
_SUFFIXES = {
    Kind.MARKDOWN: (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"),
    Kind.RST: (".rst", ".rest", ".rst.txt"),
    Kind.HTML: (".html", ".htm", ".xhtml", ".shtml"),
    Kind.CSV: (".csv", ".tsv"),
    Kind.JSON: (".json", ".geojson", ".jsonld"),
    Kind.JSONL: (".jsonl", ".ndjson", ".jsonlines"),
    Kind.NOTEBOOK: (".ipynb",),
    Kind.EMAIL: (".eml", ".mht", ".mhtml"),
    Kind.CODE: tuple(_CODE.split()),
}
_MEDIA_TYPES = {
    Kind.MARKDOWN: "text/markdown",
    Kind.RST: "text/x-rst",
    Kind.HTML: "text/html",
    Kind.CSV: "text/csv",
    Kind.JSON: "application/json",
    Kind.JSONL: "application/x-ndjson",
    Kind.NOTEBOOK: "application/x-ipynb+json",
    Kind.EMAIL: "message/rfc822",
    Kind.PACKAGE: "application/x-python-metadata",
    Kind.CODE: "text/x-code",
    Kind.PLAIN: "text/plain",
}


def detect(data: bytes, path: str, limits: Limits) -> Format:
    """Return what a document is.

    Raises:
        DocumentError: EMPTY, UNSUPPORTED, ENCRYPTED, MALFORMED or EXPANSION.
    """
    if not data:
        raise DocumentError(Reason.EMPTY, "zero bytes")
    if b"%PDF-" in data[:1024]:
        return Format(Kind.PDF, "application/pdf")
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _in_zip(data, limits)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _in_ole(data)
    if data.startswith(b"\x1f\x8b"):
        return Format(Kind.GZIP, "application/gzip")
    for magic, at, media_type in _MAGIC:
        if data.startswith(magic, at):
            raise DocumentError(Reason.UNSUPPORTED, f"{media_type} has no text that can be parsed")
    kind = _text_kind(data, path.lower())
    return Format(kind, _MEDIA_TYPES[kind])


def _in_zip(data: bytes, limits: Limits) -> Format:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = set(archive.namelist())
            media_type = (
                archive.read("mimetype")[:100].decode("ascii", "replace") if "mimetype" in names else ""
            )
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise DocumentError(Reason.MALFORMED, "a damaged zip container") from error
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise DocumentError(Reason.ENCRYPTED, "a zip container with members protected by a password")
    limits.check_unpacked(len(data), sum(member.file_size for member in members))
    return _zip_format(names, media_type.strip())


def _zip_format(names: set[str], media_type: str) -> Format:
    office = (
        ("word/document.xml", Kind.DOCX, _OOXML + "wordprocessingml.document"),
        ("ppt/presentation.xml", Kind.PPTX, _OOXML + "presentationml.presentation"),
        ("xl/workbook.xml", Kind.SPREADSHEET, _OOXML + "spreadsheetml.sheet"),
        ("xl/workbook.bin", Kind.SPREADSHEET, "application/vnd.ms-excel.sheet.binary.macroenabled.12"),
    )
    for member, kind, found in office:
        if member in names:
            return Format(kind, found)
    if media_type == "application/vnd.oasis.opendocument.spreadsheet":
        return Format(Kind.SPREADSHEET, media_type)
    if media_type == "application/epub+zip":
        return Format(Kind.EPUB, media_type)
    found = media_type if media_type.isprintable() and "/" in media_type else "application/zip"
    remedy = "; name the archive itself as a source" if found == "application/zip" else ""
    raise DocumentError(Reason.UNSUPPORTED, f"{found} cannot be parsed{remedy}")


def _in_ole(data: bytes) -> Format:
    """Old Office files and password-protected new ones share a container; its directory names the streams."""

    def holds(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    if holds("EncryptedPackage"):
        raise DocumentError(Reason.ENCRYPTED, "an office file protected by a password")
    if holds("Workbook") or holds("Book"):
        return Format(Kind.SPREADSHEET, "application/vnd.ms-excel")
    streams = {"WordDocument": "application/msword", "PowerPoint Document": "application/vnd.ms-powerpoint"}
    found = next((media for name, media in streams.items() if holds(name)), "application/x-ole-storage")
    raise DocumentError(Reason.UNSUPPORTED, f"{found} cannot be parsed; save it in a current format")


def _text_kind(data: bytes, path: str) -> Kind:
    head = data[:4096].removeprefix(b"\xef\xbb\xbf")
    if head.startswith(b"Metadata-Version:"):
        return Kind.PACKAGE
    by_suffix = next((kind for kind, suffixes in _SUFFIXES.items() if path.endswith(suffixes)), None)
    if _SVG.match(head):
        raise DocumentError(Reason.UNSUPPORTED, "image/svg+xml has no text that can be parsed")
    if _HTML.match(head):
        return Kind.HTML
    if by_suffix is None and (headers := _HEADERS.match(head)) and _OF_MAIL.search(headers.group()):
        return Kind.EMAIL
    if by_suffix is None and head.startswith((b"#!", b"<?xml", b"<?php")):
        return Kind.CODE
    return by_suffix or (Kind.CODE if PurePosixPath(path).name in {"makefile", "dockerfile"} else Kind.PLAIN)
