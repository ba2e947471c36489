"""The queries that walk the log, as text for the driver: to have SQLAlchemy build and run one costs as much as its rows."""

import json
from typing import Any

from pipelines_persistence.adapters.sql.event_rows import Filter

Query = tuple[str, list[Any]]

_COLUMNS = (
    "stream, version, epoch, transaction_id, position, recorded_at, {id}, type, data, schema_version, occurred_at, "
    "correlation_id, causation_id, actor"
)
_PLACE = "epoch, transaction_id, position"
_CURSOR = "(%s::integer, %s::bigint, %s::bigint)"


def sqlite_page(wanted: Filter) -> Query:
    """Return the query for the rows that are wanted, in the order that `stored` takes them."""
    where, parameters = _sqlite_where(wanted)
    direction = "DESC" if wanted.backwards else "ASC"
    query = (
        f"SELECT {_COLUMNS.format(id='id')} FROM events WHERE {where} ORDER BY position {direction} LIMIT ?"  # noqa: S608 - constants
    )
    return query, [*parameters, wanted.limit]


def sqlite_count(wanted: Filter) -> Query:
    """Return the query for how many rows are wanted."""
    where, parameters = _sqlite_where(wanted)
    query = f"SELECT count(*) FROM (SELECT 1 FROM events WHERE {where} LIMIT ?)"  # noqa: S608 - constants
    return query, [*parameters, wanted.limit]


def _sqlite_where(wanted: Filter) -> Query:
    where = ["position > ?"]
    parameters: list[Any] = [wanted.after.position]
    # `until` of a later epoch was made by another database: it is after all that stands here.
    if wanted.until.epoch <= 1:
        where.append("position <= ?")
        parameters.append(wanted.until.position)
    for column, values in (("type", wanted.types), ("category", wanted.categories)):
        if values:
            where.append(f"{column} IN (SELECT value FROM json_each(?))")  # noqa: S608 - constants
            parameters.append(json.dumps(sorted(values)))
    if wanted.partition:
        where.append("stream_bucket(stream) % ? = ?")  # `open_database` gives it to each connection
        parameters += [wanted.partition.of, wanted.partition.index]
    return " AND ".join(where), parameters


def postgres_page(wanted: Filter) -> Query:
    """Return the query for the rows that are wanted, and behind each the fence: its epoch and transaction.

    There is a row of the fence alone where none is wanted. Fence and rows are of one snapshot.
    """
    where, parameters = _postgres_where(wanted)
    direction = "DESC" if wanted.backwards else "ASC"
    inner = ", ".join(f"{column} {direction}" for column in _PLACE.split(", "))
    outer = ", ".join(f"page.{column} {direction}" for column in _PLACE.split(", "))
    query = (
        f"{_FENCE} SELECT page.*, fence.* FROM fence LEFT JOIN LATERAL (SELECT {_COLUMNS.format(id='id::text')} "  # noqa: S608 - constants
        f"FROM events WHERE {where} ORDER BY {inner} LIMIT %s) AS page ON true ORDER BY {outer}"
    )
    return query, [*parameters, wanted.limit]


def postgres_count(wanted: Filter) -> Query:
    """Return the query for how many rows are wanted."""
    where, parameters = _postgres_where(wanted)
    query = (
        f"{_FENCE} SELECT count(page.found) FROM fence LEFT JOIN LATERAL "  # noqa: S608 - constants
        f"(SELECT 1 AS found FROM events WHERE {where} LIMIT %s) AS page ON true"
    )
    return query, [*parameters, wanted.limit]


_FENCE = (
    "WITH fence AS (SELECT (SELECT max(number) FROM event_epochs) AS fence_epoch, "
    "pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest)"
)


def _postgres_where(wanted: Filter) -> Query:
    after, until = wanted.after, wanted.until
    where = [
        f"({_PLACE}) > {_CURSOR}",
        f"({_PLACE}) <= {_CURSOR}",
        "(epoch, transaction_id) < (fence_epoch, oldest)",
    ]
    parameters: list[Any] = [after.epoch, after.transaction, after.position]
    parameters += [until.epoch, until.transaction, until.position]
    for column, values in (("type", wanted.types), ("category", wanted.categories)):
        if values:
            where.append(f"{column} = ANY(%s::text[])")
            parameters.append(sorted(values))
    if wanted.partition:
        where.append("get_byte(sha256(convert_to(stream, 'UTF8')), 0) %% %s = %s")
        parameters += [wanted.partition.of, wanted.partition.index]
    return " AND ".join(where), parameters
