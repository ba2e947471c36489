"""The .zip container."""

import posixpath
import stat
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

from pipelines_persistence.adapters.sources.archives import Kind, Member
from pipelines_persistence.adapters.sources.files import too_large
from pipelines_persistence.errors import DocumentError, Reason

_ENCRYPTED, _UTF8 = 0x1, 0x800
_MAX_TARGET = 4096
# bz2 and LZMA members are unpacked by zipfile a whole read at a time: small reads bound the memory.
_PIECE = 4096


class Zip:
    """Reads members at random; a member's signature is the checksum that the archive keeps of it."""

    def __init__(self, filesystem: Any, location: str, shown: str) -> None:  # noqa: ANN401 - fsspec is untyped
        """Keep where the archive is."""
        self.shown = shown
        self._filesystem = filesystem
        self._location = location
        self._file: Any = None
        self._archive: zipfile.ZipFile | None = None
        self._infos: dict[str, zipfile.ZipInfo] = {}

    def members(self) -> Sequence[Member]:
        """Open the archive and list it; see `Container`."""
        self.close()
        self._filesystem.invalidate_cache()
        self._file = self._filesystem.open(self._location, "rb")
        self._archive = zipfile.ZipFile(self._file)
        self._infos = {_name(info): info for info in self._archive.infolist() if not info.is_dir()}
        return [self._member(name, info) for name, info in self._infos.items()]

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a member.

        Raises:
            DocumentError: it is damaged, compressed in an unsupported way, or larger than `limit`.
        """
        assert self._archive is not None
        info = self._infos[name]
        if info.file_size > limit:
            raise too_large(info.file_size, limit)
        content = bytearray()
        try:
            with self._archive.open(info) as member:
                while len(content) <= limit and (piece := member.read(_PIECE)):
                    content += piece
        except NotImplementedError as error:
            raise DocumentError(Reason.UNSUPPORTED, "compressed by a method that is not supported") from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DocumentError(Reason.MALFORMED, "damaged within the archive") from error
        if len(content) > limit:
            raise too_large(len(content), limit)
        return bytes(content)

    def close(self) -> None:
        """Close the archive."""
        if self._archive is not None:
            self._archive.close()
        if self._file is not None:
            self._file.close()
        self._archive = self._file = None

    def _member(self, name: str, info: zipfile.ZipInfo) -> Member:
        mode = info.external_attr >> 16
        if info.flag_bits & _ENCRYPTED:
            return Member(name, Kind.ENCRYPTED, info.file_size)
        if stat.S_ISLNK(mode):
            target = self.read(name, _MAX_TARGET).decode("utf-8", "surrogateescape")
            return Member(name, Kind.LINK, target=posixpath.join(posixpath.dirname(name), target))
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
            return Member(name, Kind.SPECIAL)
        return Member(name, Kind.FILE, info.file_size, f"crc32:{info.CRC:08x}-{info.file_size}")


def _name(info: zipfile.ZipInfo) -> str:
    """Return the member's name; many tools write UTF-8 without saying so, which zipfile reads as cp437."""
    if info.flag_bits & _UTF8 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename
