"""The .tar container, plain or compressed."""

import bz2
import contextlib
import gzip
import lzma
import posixpath
import tarfile
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from pipelines_persistence.adapters.sources.archives import MAX_MEMBERS, Kind, Member
from pipelines_persistence.adapters.sources.files import local_signature, too_large
from pipelines_persistence.adapters.sources.remote import protocols, remote_signature
from pipelines_persistence.errors import DocumentError, Reason

MAX_EXPANSION = 200
_FREE_EXPANSION = 256 * 2**20
"""Up to here any ratio is taken: a small archive of zeros is no bomb."""
_PIECE = 1 << 20
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


class Tar:
    """Reads members at random; a compressed archive is unpacked once to an unnamed temporary file.

    Without that, reading in the order of the paths would unpack the archive again for each member.
    A member's signature is the archive's own and where the member stands in it.
    """

    def __init__(self, filesystem: Any, location: str, shown: str) -> None:  # noqa: ANN401 - fsspec is untyped
        """Keep where the archive is."""
        self.shown = shown
        self._filesystem = filesystem
        self._location = location
        self._file: Any = None
        self._archive: tarfile.TarFile | None = None
        self._infos: dict[str, tarfile.TarInfo] = {}

    def members(self) -> Sequence[Member]:
        """Open the archive and list it; see `Container`.

        Raises:
            tarfile.ReadError: it is damaged, truncated, or unpacks beyond the bound.
        """
        self.close()
        self._filesystem.invalidate_cache()
        signature = self._signature()
        self._file = self._unpacked(self._filesystem.open(self._location, "rb"))
        self._archive = tarfile.open(  # noqa: SIM115 - kept open for `read`
            fileobj=self._file, mode="r:", encoding="utf-8", errors="surrogateescape"
        )
        self._infos = {info.name: info for info in self._headers(self._archive) if not info.isdir()}
        return [_member(info, signature) for info in self._infos.values()]

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a member.

        Raises:
            DocumentError: it is damaged or larger than `limit`.
        """
        assert self._archive is not None
        info = self._infos[name]
        if info.size > limit:
            raise too_large(info.size, limit)
        file = self._archive.extractfile(info)
        if file is None:
            raise DocumentError(Reason.SPECIAL_FILE, "no regular file")
        with file:
            content = file.read(limit + 1)
        if len(content) != info.size:
            raise DocumentError(Reason.MALFORMED, "damaged within the archive")
        return content

    def close(self) -> None:
        """Close the archive and drop what was unpacked."""
        if self._archive is not None:
            self._archive.close()
        if self._file is not None:
            self._file.close()
        self._archive = self._file = None

    def _signature(self) -> str | None:
        if "file" in protocols(self._filesystem):
            return local_signature(Path(self._location).stat(), time.time_ns())
        return remote_signature(self._filesystem.info(self._location))

    def _unpacked(self, packed: Any) -> Any:  # noqa: ANN401 - the library gives no type
        magic = packed.read(6)
        packed.seek(0)
        opener = next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)
        if opener is None:
            return packed
        with packed:
            size = packed.seek(0, 2)
            packed.seek(0)
            return _unpack(opener, packed, max(_FREE_EXPANSION, size * MAX_EXPANSION))

    @staticmethod
    def _headers(archive: tarfile.TarFile) -> Sequence[tarfile.TarInfo]:
        infos: list[tarfile.TarInfo] = []
        for info in archive:
            infos.append(info)
            if len(infos) > MAX_MEMBERS:
                raise tarfile.ReadError(f"more than {MAX_MEMBERS:,} members")
        # tarfile takes a header that is cut off or damaged for the end: a listing that looks whole.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0") or archive.fileobj.tell() <= archive.offset:
            raise tarfile.ReadError("truncated or damaged: the end mark is missing")
        return infos


def _unpack(opener: Any, packed: IO[bytes], bound: int) -> IO[bytes]:  # noqa: ANN401 - the library gives no type
    with contextlib.ExitStack() as stack:
        unpacked = stack.enter_context(tempfile.TemporaryFile())
        try:
            with opener(packed, "rb") as stream:
                while unpacked.tell() <= bound and (piece := stream.read(_PIECE)):
                    unpacked.write(piece)
        except (EOFError, zlib.error, lzma.LZMAError) as error:
            raise tarfile.ReadError(f"truncated or damaged ({error})") from error
        if unpacked.tell() > bound:
            raise tarfile.ReadError(f"it unpacks to more than {bound:,} bytes")
        unpacked.seek(0)
        stack.pop_all()
        return unpacked


def _member(info: tarfile.TarInfo, archive: str | None) -> Member:
    if info.issym():
        return Member(
            info.name, Kind.LINK, target=posixpath.join(posixpath.dirname(info.name), info.linkname)
        )
    if info.islnk():
        return Member(info.name, Kind.LINK, target=info.linkname)
    if not info.isfile():
        return Member(info.name, Kind.SPECIAL)
    signature = f"{archive}@{info.offset_data}-{info.size}" if archive else None
    return Member(info.name, Kind.FILE, info.size, signature)
