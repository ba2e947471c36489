"""From a configured URI to the source behind it."""

import os
import sysconfig
from pathlib import Path
from urllib.parse import unquote

from pipelines_persistence.adapters.sources.archives import ArchiveSource
from pipelines_persistence.adapters.sources.globs import PathFilter
from pipelines_persistence.adapters.sources.local import FolderSource
from pipelines_persistence.adapters.sources.remote import BucketSource, open_filesystem, redacted
from pipelines_persistence.adapters.sources.tarred import Tar
from pipelines_persistence.adapters.sources.zipped import Zip
from pipelines_persistence.configuration import SourceConfig
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.ports import Source
from pipelines_persistence.resilience import Guard

PYTHON_PACKAGES = "python-packages://"
PACKAGE_DOCUMENTS = ("*.dist-info/METADATA", "**/*.md", "**/*.rst")
"""What `python-packages://` means unless `include` says otherwise: descriptions, and documents that were shipped."""
LICENSES = ("**/licenses/**", "**/LICENSE*", "**/AUTHORS*")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def open_source(
    config: SourceConfig, base: Path, *, guard: Guard | None = None, timeout: float | None = None
) -> Source:
    """Return the source that a configuration describes; nothing is read yet.

    Args:
        config: as it stands in `pipelines.yaml`.
        base: the folder at which relative paths start.
        guard: of this source, if it is not local.
        timeout: seconds for an answer, if it is not local; by default the protocol's own.

    Raises:
        ConfigurationError: the URI names a protocol that is unknown or not installed, or a kind of
            archive that is not supported.
    """
    uri = config.uri
    if uri.startswith(PYTHON_PACKAGES):
        return _python_packages(config)
    path_filter = PathFilter(config.include, config.exclude, hidden=config.hidden)
    if uri.lower().endswith((".tar.zst", ".tzst")):
        raise ConfigurationError(f"{uri}: Zstandard archives are not supported; use .tar.gz, .tar.xz or .zip")
    if (local := local_path(uri, base)) is None:
        return _remote(config, path_filter, guard, timeout)
    # By name and not by content: a .docx is a zip too, and is one document.
    container = _container(local.name)
    if container is not None and not local.is_dir():
        filesystem, location = open_filesystem(local.as_uri())
        archive = container(filesystem, location, str(local))
        return ArchiveSource(config.name, config.metadata, archive, path_filter)
    return FolderSource(config.name, config.metadata, local, path_filter)


def _python_packages(config: SourceConfig) -> FolderSource:
    root = Path(sysconfig.get_path("purelib"))
    if "include" in config.model_fields_set:
        include, exclude = config.include, config.exclude
    else:
        include, exclude = PACKAGE_DOCUMENTS, (*config.exclude, *LICENSES)
    return FolderSource(
        config.name, config.metadata, root, PathFilter(include, exclude, hidden=config.hidden)
    )


def _remote(
    config: SourceConfig, path_filter: PathFilter, guard: Guard | None, timeout: float | None
) -> Source:
    filesystem, location = open_filesystem(config.uri, timeout)
    if container := _container(config.uri):
        archive = container(filesystem, location, redacted(config.uri))
        return ArchiveSource(config.name, config.metadata, archive, path_filter, guard=guard)
    return BucketSource(
        config.name,
        config.metadata,
        path_filter,
        filesystem=filesystem,
        root=location,
        uri=config.uri,
        guard=guard,
    )


def _container(name: str) -> type[Zip] | type[Tar] | None:
    name = name.lower()
    if name.endswith(".zip"):
        return Zip
    return Tar if name.endswith(TAR_SUFFIXES) else None


def local_path(uri: str, base: Path) -> Path | None:
    """Return the path of a URI on this machine, None for one that is elsewhere."""
    for prefix in ("file://", "local://"):
        if uri.startswith(prefix):
            uri = unquote(uri.removeprefix(prefix))
            break
    else:
        if "://" in uri or "::" in uri:
            return None
    return Path(os.path.abspath(base / Path(uri).expanduser()))  # noqa: PTH100 - keeps a link a link
