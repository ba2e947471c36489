"""Files of JSONL on this machine, plain or gzipped; standard input; a folder of such files."""

import gzip
import io
import os
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from pipelines_persistence.adapters.sources.names import printable
from pipelines_persistence.errors import ConfigurationError, SourceUnavailable, StorageError
from pipelines_persistence.events.feeds import EventFile
from pipelines_persistence.events.jsonl import LONGEST_LINE

STANDARD_INPUT = "-"

_SUFFIXES = (".jsonl", ".jsonl.gz")
_GZIP = b"\x1f\x8b"
_BUFFER = 1 << 20
_PIECE = 1 << 16


@contextmanager
def event_files(names: Sequence[str], *, twice: bool = False) -> Iterator[list[EventFile]]:
    """Open files by name, after a look at all of them.

    Args:
        names: of files; `-` is standard input.
        twice: whether they are read more than once: what cannot be, standard input or a pipe, is copied first.

    Raises:
        ConfigurationError: one is not there, is no file, or may not be read; or standard input is named twice.
        StorageError: there is no room for the copy.
    """
    if names.count(STANDARD_INPUT) > 1:
        raise ConfigurationError("standard input (-) is named twice, and can be read once")
    with ExitStack() as exits:
        yield [_opened(name, exits if twice else None) for name in names]


class LocalFile:
    """A file that can be read as often as one likes."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Keep where it is, and what to call it: by default its path."""
        self._path = path
        self.name = name or printable(str(path))

    def lines(self) -> Iterator[bytes]:
        """See `EventFile`."""
        return _lines(self.name, lambda: open(self._path, "rb", _BUFFER, opener=_regular))


class _Stream:
    """What can be read once."""

    def __init__(self, name: str, opener: Callable[[], BinaryIO]) -> None:
        self.name = name
        self.open = opener

    def lines(self) -> Iterator[bytes]:
        return _lines(self.name, self.open)


def _opened(name: str, copies: ExitStack | None) -> EventFile:
    if name == STANDARD_INPUT:
        stream = _Stream(name, _standard_input)
    else:
        path = Path(name)
        if _is_regular(path):
            return LocalFile(path)
        stream = _Stream(printable(name), lambda: path.open("rb"))
    return _copied(stream, copies) if copies else stream


def _is_regular(path: Path) -> bool:
    """Tell a regular file from a pipe, and refuse anything else."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; nothing was read") from error
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise ConfigurationError(
            f"{path}: no file; name the files in it, such as {path}/*.jsonl; nothing was read"
        )
    return stat.S_ISREG(mode)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise ConfigurationError("standard input (-) is closed")
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb", _BUFFER)


def _copied(stream: _Stream, copies: ExitStack) -> LocalFile:
    try:
        copy = tempfile.NamedTemporaryFile(prefix="pipelines-", suffix=".jsonl")  # noqa: SIM115 - `copies` closes it
        copies.enter_context(copy)
        with stream.open() as source:
            shutil.copyfileobj(source, copy, _PIECE)
        copy.flush()
    except OSError as error:
        raise StorageError(
            f"{stream.name} cannot be copied to {tempfile.gettempdir()} ({error.strerror}): "
            "free space there, set TMPDIR, or load a file"
        ) from error
    return LocalFile(Path(copy.name), stream.name)


def _regular(path: str, flags: int) -> int:
    """Open a regular file; a pipe that took its place is refused, not waited for."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "no regular file", path)
    return descriptor


def _lines(name: str, opener: Callable[[], BinaryIO]) -> Iterator[bytes]:
    with explained(name), opener() as file:
        readline = _plain(file).readline
        while line := readline(LONGEST_LINE + 1):
            yield line
            if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := readline(_PIECE)) and not rest.endswith(b"\n"):
                    pass


def _plain(file: BinaryIO) -> io.BufferedIOBase:
    # By content, not by name: what is downloaded is often unpacked on the way and keeps its name.
    assert isinstance(file, io.BufferedReader)
    return gzip.GzipFile(fileobj=file) if file.peek(len(_GZIP)).startswith(_GZIP) else file


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what goes wrong with a file or folder into `SourceUnavailable`, and call it by name."""
    try:
        yield
    except EOFError as error:
        raise SourceUnavailable(
            f"{name} ends in the middle of its gzip stream: it was cut off, or is still being written"
        ) from error
    except (OSError, zlib.error) as error:
        raise SourceUnavailable(
            f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
