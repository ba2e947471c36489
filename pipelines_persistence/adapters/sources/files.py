"""Regular files of this machine: what tells that one changed, and reading one within a bound."""

import os
import stat

from pipelines_persistence.errors import DocumentError, Reason

RACY_NS = 2_000_000_000
"""A file changed less than this before it was listed may change again within one tick of the file
system's clock (two seconds on FAT), unseen: git calls it racily clean. Such a file is hashed."""
_PIECE = 1 << 20


def local_signature(status: os.stat_result, now: int) -> str | None:
    """Return what changes with the file's content, or None while a further change could go unseen."""
    if status.st_ctime_ns > now - RACY_NS or abs(now - status.st_mtime_ns) < RACY_NS:
        return None
    return f"stat:{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def read_regular_file(path: str, limit: int) -> bytes:
    """Read a file, at most one byte beyond `limit`.

    Raises:
        DocumentError: it is no regular file, or larger than `limit`.
        OSError: it cannot be opened or read.
    """
    # O_NONBLOCK: a FIFO that took the file's place is refused instead of waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, no path
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError(Reason.SPECIAL_FILE, f"a {kind_of_file(status.st_mode)}, no document")
        if status.st_size > limit:
            raise too_large(status.st_size, limit)
        content = bytearray()
        while len(content) <= limit and (piece := file.read(min(_PIECE, limit + 1 - len(content)))):
            content += piece
    if len(content) > limit:
        raise too_large(len(content), limit)
    return bytes(content)


def too_large(size: int, limit: int) -> DocumentError:
    """Return the error for content beyond the bound."""
    return DocumentError(Reason.TOO_LARGE, f"{size:,} bytes or more, limits.max_bytes is {limit:,}")


def kind_of_file(mode: int) -> str:
    """Name what is no regular file."""
    kinds = {stat.S_ISFIFO: "named pipe", stat.S_ISSOCK: "socket", stat.S_ISDIR: "folder"}
    return next((word for test, word in kinds.items() if test(mode)), "device")
