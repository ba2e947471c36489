"""Tables of one's own: made from the struct of their rows, and never changed behind anyone's back."""

import json
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.read_model_tables import SqlTable
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.repositories.tables import Table

PREFIX = "own__"
"""Of their names in the database: neither the platform's tables nor read models are named so."""

_LOCK = 7_304_512_003  # an advisory lock's key: any number that nobody else uses
_SQLITE_MADE = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
_POSTGRES_MADE = """
SELECT coalesce(obj_description(oid, 'pg_class'), '') FROM pg_class
WHERE relname = %s AND relkind = 'r' AND relnamespace = current_schema()::regnamespace
"""


def own_table(table: Table[Any], dialect: str) -> SqlTable:
    """Return where the rows of a table are.

    Raises:
        ConfigurationError: it has no name.
    """
    if not table.name:
        raise ConfigurationError(f"the table of {table.row.__name__} has no name: Table(..., name='orders')")
    return SqlTable(table, f"{PREFIX}{table.name}", dialect)


def ensure(connection: sa.Connection, table: SqlTable) -> None:
    """Make a table where it is not there, in the caller's transaction.

    Raises:
        ConfigurationError: one of its name was made with other columns.
    """
    is_postgres = connection.dialect.name == "postgresql"
    if is_postgres:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    signature = json.dumps(table.table.signature)
    query = _POSTGRES_MADE if is_postgres else _SQLITE_MADE
    made = connection.exec_driver_sql(query, (table.name,)).scalar()
    if made is None:
        _make(connection, table, signature, is_postgres=is_postgres)
    elif signature not in made:
        raise ConfigurationError(
            f"the table {table.table.name!r} was made with other columns than {table.table.row.__name__} has now: "
            f"give it another name and copy the rows, or change {table.name!r} in the database, with what it says of itself"
        )


def _make(connection: sa.Connection, table: SqlTable, signature: str, *, is_postgres: bool) -> None:
    first, *others = table.statements()
    if not is_postgres:
        # SQLite has no comments on tables, but keeps the statement that made them.
        first = first.replace("(", f"(/* {signature} */ ", 1)
    for statement in (first, *others):
        connection.exec_driver_sql(statement)
    if is_postgres:
        connection.exec_driver_sql(f"COMMENT ON TABLE \"{table.name}\" IS '{signature}'")
