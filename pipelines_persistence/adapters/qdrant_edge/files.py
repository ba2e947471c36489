"""Files that are whole or not there, and disks that are full."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines_persistence.errors import StorageError

_BLOCK = 2**20


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says about `path` into `StorageError`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read or written ({error.strerror or error}): "
            "free space or grant access there, or set PIPELINES_HOME to another folder"
        ) from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file: readers, and whoever comes after a crash, see all of the old or all of the new content."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def require_space(path: Path, needed: int) -> None:
    """Refuse to begin what would not fit.

    The engine writes through memory maps of sparse files: on a full disk the kernel kills the process with
    SIGBUS, which nothing can catch. So there must be room before the engine is called.

    Raises:
        StorageError: fewer than `needed` bytes are free.
    """
    with storage_errors(path):
        free = shutil.disk_usage(path).free
    if free < needed:
        raise StorageError(
            f"{path}: the disk is full: {free / 2**20:,.1f} MiB are free and this needs {needed / 2**20:,.1f} MiB; "
            "nothing was written: free space, or set PIPELINES_HOME to another disk"
        )


def size_on_disk(path: Path) -> int:
    """Bytes that the files below a folder really take; the engine's files are sparse."""
    return sum(status.st_blocks * 512 for status in _files(path))


def holes(path: Path) -> int:
    """Bytes that sparse files below a folder would still take if every page of them were touched."""
    return sum(max(0, status.st_size - status.st_blocks * 512) for status in _files(path))


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder durably, holes as holes: the engine's files are mostly that."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_dir():
            copy_folder(path, target / path.name)
        else:
            _copy_file(path, target / path.name)
    sync_directory(target)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        size = os.fstat(reader.fileno()).st_size
        for start, end in _data(reader.fileno(), size):
            reader.seek(start)
            writer.seek(start)
            while block := reader.read(min(_BLOCK, end - reader.tell())):
                writer.write(block)
        writer.truncate(size)
        writer.flush()
        os.fsync(writer.fileno())


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where a file has data, from and to, in bytes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # nothing but a hole is left
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def _files(path: Path) -> list[os.stat_result]:
    with storage_errors(path):
        return [(Path(folder) / name).stat() for folder, _, names in os.walk(path) for name in names]
