"""Finds what a configuration names by its import path."""

import importlib
import sys
from pathlib import Path
from typing import Any

from pipelines_persistence.errors import ConfigurationError


def import_attribute(import_path: str, key: str) -> Any:  # noqa: ANN401 - the user's own
    """Return what an import path `module:attribute` names; a module may lie in the working directory.

    Args:
        import_path: of the attribute.
        key: of the configuration where it stands, for messages.

    Raises:
        ConfigurationError: the module or the attribute is not there, or importing it fails.
    """
    module_name, _, attribute = import_path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last: a file of the user's must not hide an installed package
    try:
        found = importlib.import_module(module_name)
        for name in attribute.split("."):
            found = getattr(found, name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{key} {import_path!r}: no module {error.name!r}; it must be installed or stand in {here}"
        ) from error
    except AttributeError as error:
        raise ConfigurationError(
            f"{key} {import_path!r}: the module {module_name!r} has no attribute {attribute!r}"
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"{key} {import_path!r}: importing {module_name!r} failed: {type(error).__name__}: {error}"
        ) from error
    return found
