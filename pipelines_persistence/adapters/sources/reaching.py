"""Whether a source is there, without listing it."""

from pathlib import Path

from pipelines_persistence.adapters.sources.opening import PYTHON_PACKAGES, local_path
from pipelines_persistence.adapters.sources.remote import open_filesystem, redacted, source_errors
from pipelines_persistence.configuration import SourceConfig


def reach_source(config: SourceConfig, base: Path, timeout: float) -> str:
    """Return where a source is, fit to be shown.

    Args:
        config: of the source.
        base: the folder at which relative paths start.
        timeout: seconds for an answer, where the protocol has such a limit.

    Raises:
        SourceUnavailable: it is not there, or does not answer.
        ConfigurationError: its protocol is unknown or not installed.
    """
    if config.uri.startswith(PYTHON_PACKAGES):
        return config.uri
    local = local_path(config.uri, base)
    shown = redacted(config.uri) if local is None else str(local)
    with source_errors(config.name, shown):
        filesystem, location = open_filesystem(local.as_uri() if local else config.uri, timeout)
        filesystem.info(location)
    return shown
