"""Names: of collections, vectors and payload fields. The same in both stores, so that an index can move."""

import re

from pipelines_persistence.errors import IndexNotFound, StoreError
from pipelines_persistence.records import field_path

__all__ = ["DENSE", "SPARSE", "field_path", "is_name", "not_found", "require_name"]

DENSE = "dense"
"""The name of the vector: named, so that a sparse one can stand beside it."""

SPARSE = "bm25"
"""The name of the sparse one."""

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
