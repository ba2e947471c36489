"""Names of collections and aliases: the same rules as in the embedded store, so that an index can move."""

import re

from pipelines_persistence.errors import IndexNotFound, StoreError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def is_name(name: str) -> bool:
    """Tell whether something can be the name of a collection."""
    return bool(_NAME.fullmatch(name))


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a collection.

    Raises:
        StoreError: it is none.
    """
    if not is_name(name):
        raise StoreError(f"{name!r} is no name: letters, digits, '.', '_' and '-' only, 200 at most")


def not_found(name: str) -> IndexNotFound:
    """Say what to do about an unknown name."""
    return IndexNotFound(f"there is no index {name!r} in the vector store: run `pipelines ingest` first")
