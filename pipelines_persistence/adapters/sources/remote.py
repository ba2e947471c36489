"""A tree that fsspec reaches: a bucket, a server, memory."""

import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pipelines_persistence.adapters.sources.files import too_large
from pipelines_persistence.adapters.sources.globs import PathFilter
from pipelines_persistence.adapters.sources.names import unique_names
from pipelines_persistence.errors import (
    ConfigurationError,
    DocumentError,
    PipelinesError,
    Reason,
    SourceUnavailable,
    TransientError,
)
from pipelines_persistence.records import Json, SourceEntry
from pipelines_persistence.resilience import Guard

T = TypeVar("T")

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_FLAT_LISTING = frozenset(EXTRAS)
"""Protocols whose `find` pages through the keys, and raises what fails; elsewhere `walk` can be told to raise."""
_LASTING = (FileNotFoundError, PermissionError, zipfile.BadZipFile, tarfile.TarError)
_CONTENT_KEYS = ("ETag", "etag", "generation", "md5Hash", "content_md5", "checksum")


class BucketSource:
    """Lists a tree in the order of the paths. Object stores have no links and no special files."""

    def __init__(
        self,
        name: str,
        metadata: Mapping[str, Json],
        path_filter: PathFilter,
        *,
        filesystem: Any,  # noqa: ANN401 - fsspec is untyped
        root: str,
        uri: str,
        guard: Guard | None = None,
    ) -> None:
        """Keep where the tree is; `root` is the URI without its protocol, `uri` is for messages.

        Each listing and each read goes through the guard.
        """
        self.name = name
        self.metadata = metadata
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._shown = redacted(uri)
        self._filter = path_filter
        self._guard = guard
        self._keys: dict[str, str] | None = None

    def entries(self) -> Iterator[SourceEntry]:
        """List the documents; see the port.

        Raises:
            SourceUnavailable: the root does not exist, or a part of it cannot be listed.
            CircuitOpen: the store failed too often a moment ago.
        """
        infos = {self._below(key): info for key, info in self._call(self._list).items()}
        paths = unique_names(infos)
        taken = {path: name for name, path in paths.items() if self._filter.takes(path)}
        self._keys = {path: infos[name]["name"] for path, name in taken.items()}
        for path in sorted(taken):
            info = infos[taken[path]]
            yield SourceEntry(self.name, path, int(info.get("size") or 0), remote_signature(info))

    def read(self, entry: SourceEntry, limit: int) -> bytes:
        """Return the content of an entry; see the port.

        Raises:
            DocumentError: it vanished, access is denied, or it is larger than `limit`.
            SourceUnavailable: the store does not answer.
            CircuitOpen: it failed too often a moment ago.
        """
        if entry.problem is not None:
            raise entry.problem
        if entry.size > limit:
            raise too_large(entry.size, limit)
        content = self._call(lambda: self._content(self._key(entry.path), limit))
        if len(content) > limit:
            raise too_large(len(content), limit)
        return content

    def _call(self, work: Callable[[], T]) -> T:
        def explained() -> T:
            with source_errors(self.name, self._shown):
                return work()

        return self._guard.call(explained, repeatable=is_worth_repeating) if self._guard else explained()

    def _content(self, key: str, limit: int) -> bytes:
        try:
            with self._filesystem.open(key, "rb") as file:
                return bytes(file.read(limit + 1))
        except FileNotFoundError as error:
            raise DocumentError(Reason.UNREADABLE, "vanished since it was listed") from error
        except PermissionError as error:
            raise DocumentError(Reason.UNREADABLE, "access denied") from error

    def _key(self, path: str) -> str:
        if self._keys is None:
            for _ in self.entries():
                pass
        return (self._keys or {}).get(path, f"{self._root}/{path}")

    def _below(self, key: str) -> str:
        """Return a key relative to the root; of a root that is one object, its own name."""
        return key.removeprefix(self._root).lstrip("/") or key.rpartition("/")[2]

    def _list(self) -> dict[str, Mapping[str, Any]]:
        self._filesystem.invalidate_cache()
        if protocols(self._filesystem) & _FLAT_LISTING:
            found = self._filesystem.find(self._root, detail=True)
        elif self._filesystem.isfile(self._root):
            found = {self._root: self._filesystem.info(self._root)}
        else:
            found = {
                info["name"]: info
                for _, _, files in self._filesystem.walk(self._root, detail=True, on_error="raise")
                for info in files.values()
            }
        if not found and not self._filesystem.exists(self._root):
            raise FileNotFoundError(self._shown)
        return {key: info for key, info in found.items() if info.get("type", "file") == "file"}


def open_filesystem(uri: str, timeout: float | None = None) -> tuple[Any, str]:
    """Return the file system of a URI and the location in it; nothing is contacted yet.

    Args:
        uri: of a tree or a file.
        timeout: seconds for an answer, where the protocol has such a limit; by default its own. The client then leaves
            repetitions to its caller.

    Raises:
        ConfigurationError: no such protocol, or its package is not installed.
        SourceUnavailable: the other side does not answer.
    """
    import fsspec

    protocol = uri.partition("://")[0].rpartition("::")[2]
    try:
        # Neither instances nor listings are shared: a long-lived process must see what changed.
        filesystem, location = fsspec.url_to_fs(uri, skip_instance_cache=True, **_limits(protocol, timeout))
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        remedy = (
            f"pip install 'pipelines-persistence[{extra}]'"
            if extra
            else f"install what fsspec needs: {error}"
        )
        raise ConfigurationError(
            f"{redacted(uri)}: support for {protocol}:// is not installed; {remedy}"
        ) from error
    except (OSError, EOFError) as error:  # some file systems connect when they are made
        raise SourceUnavailable(
            f"{redacted(uri)} cannot be reached ({type(error).__name__}: {error})"
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"{redacted(uri)}: no usable URI ({error}); expected a path, an archive or <protocol>://..."
        ) from error
    return filesystem, str(location)


def _limits(protocol: str, timeout: float | None) -> dict[str, Any]:
    """Return the arguments by which a file system bounds its waits and its own repetitions, if it can."""
    if timeout is None:
        return {}
    if protocol in {"s3", "s3a"}:
        limits = {"connect_timeout": min(timeout, 10.0), "read_timeout": timeout}
        return {"config_kwargs": {**limits, "retries": {"max_attempts": 0}}}
    return {"requests_timeout": timeout} if protocol in {"gs", "gcs"} else {}


def remote_signature(info: Mapping[str, Any]) -> str | None:
    """Return what a store says of an object's content, None where it says nothing that can be trusted."""
    marks = [f"{key}={info[key]}" for key in _CONTENT_KEYS if info.get(key)]
    return f"{':'.join(marks)}-{info.get('size')}" if marks else None


def protocols(filesystem: Any) -> frozenset[str]:  # noqa: ANN401 - the library gives no type
    """Return the names under which fsspec knows a file system."""
    protocol = filesystem.protocol
    return frozenset({protocol} if isinstance(protocol, str) else protocol)


def redacted(uri: str) -> str:
    """Return a URI without the user, the password and the query that it may carry."""
    return re.sub(r"\?.*", "?***", re.sub(r"://[^/@]*@", "://***@", uri))


def is_worth_repeating(error: TransientError) -> bool:
    """Tell whether to ask again may help: not where access is denied, nothing is there, or an archive is damaged."""
    return not isinstance(error.__cause__, _LASTING)


@contextmanager
def source_errors(name: str, shown: str) -> Iterator[None]:
    """Turn what a driver raises into `SourceUnavailable`: drivers share no base class."""
    try:
        yield
    except PipelinesError:
        raise
    except FileNotFoundError as error:
        raise SourceUnavailable(
            f"source {name!r}: {shown}: no such file or folder; nothing was listed, and nothing will be deleted"
        ) from error
    except Exception as error:
        message = f"source {name!r}: {shown} cannot be read ({type(error).__name__}: {error})"
        raise SourceUnavailable(message) from error
