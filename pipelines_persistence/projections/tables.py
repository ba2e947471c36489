"""Tables of a read model: those of repositories, by the names that projections know them by."""

from pipelines_persistence.repositories.tables import Column, Key, Kind, R, Table, require_name

__all__ = ["Column", "Key", "Kind", "R", "Table", "require_name"]
