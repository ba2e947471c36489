"""Repositories: rows behind a small port, found by specifications that mean the same in Python and in SQL."""

from pipelines_persistence.repositories.asking import Catalog, asked, named
from pipelines_persistence.repositories.including import Relation
from pipelines_persistence.repositories.paging import Page
from pipelines_persistence.repositories.ports import Reader, Repository, UnitOfWork, Work
from pipelines_persistence.repositories.rows import RowRefused
from pipelines_persistence.repositories.specification import (
    Field,
    NamedSpecification,
    Specification,
    everything,
    field,
    nothing,
)
from pipelines_persistence.repositories.tables import Column, Key, Kind, Table

__all__ = [
    "Catalog",
    "Column",
    "Field",
    "Key",
    "Kind",
    "NamedSpecification",
    "Page",
    "Reader",
    "Relation",
    "Repository",
    "RowRefused",
    "Specification",
    "Table",
    "UnitOfWork",
    "Work",
    "asked",
    "everything",
    "field",
    "named",
    "nothing",
]
