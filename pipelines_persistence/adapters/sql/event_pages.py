"""The queries that walk the log and its streams, as text for the driver.

To have SQLAlchemy build and run one would cost as much as its rows.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from pipelines_persistence.adapters.sql.event_rows import Filter, Part
from pipelines_persistence.adapters.sql.event_schema import to_micros
from pipelines_persistence.events import Clock, Cursor, StoredEvent, aware
from pipelines_persistence.events.appending import MOST

Query = tuple[str, list[Any]]

PAGE = 1000
"""Events that are read at a time."""

_CONTENT = "type, data, schema_version, occurred_at, correlation_id, causation_id, actor"
_SQLITE = f"stream, version, position, recorded_at, id, {_CONTENT}"
_POSTGRES = f"stream, version, epoch, transaction_id, position, recorded_at, id::text, {_CONTENT}"
_PLACE = "epoch, transaction_id, position"
_CURSOR = "(%s::integer, %s::bigint, %s::bigint)"


def stream_pages(
    page: Callable[[Part], list[StoredEvent]],
    stream: str,
    versions: tuple[int, int | None],
    as_of: datetime | Cursor | None,
    clock: Clock,
    *,
    backwards: bool,
) -> Iterator[StoredEvent]:
    """Walk a stream by what returns a part of it; see `EventStore.read`. The versions are the first and the last."""
    moment = aware(as_of) if isinstance(as_of, datetime) else as_of
    first, last = versions[0], MOST if versions[1] is None else versions[1]
    while first <= last:
        found = page(Part(stream, first, last, moment, clock, backwards, PAGE))
        yield from found
        if len(found) < PAGE:
            return
        first, last = (first, found[-1].version - 1) if backwards else (found[-1].version + 1, last)


def sqlite_page(wanted: Filter) -> Query:
    """Return the query for the rows that are wanted."""
    where, parameters = _sqlite_where(wanted)
    direction = "DESC" if wanted.backwards else "ASC"
    query = f"SELECT {_SQLITE} FROM events WHERE {where} ORDER BY position {direction} LIMIT ?"  # noqa: S608 - constants
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


def sqlite_stream(part: Part) -> Query:
    """Return the query for a page of a stream."""
    query, parameters = _stream(part, _SQLITE)
    return query.replace("%s", "?"), parameters


def postgres_stream(part: Part) -> Query:
    """Return the query for a page of a stream."""
    return _stream(part, _POSTGRES)


def _stream(part: Part, columns: str) -> Query:
    where = ["stream = %s", "version BETWEEN %s AND %s"]
    parameters: list[Any] = [part.stream, part.first, part.last]
    if isinstance(part.as_of, Cursor):
        where.append(f"({_PLACE}) <= (%s, %s, %s)")
        parameters += [part.as_of.epoch, part.as_of.transaction, part.as_of.position]
    elif part.as_of is not None:
        where.append(f"{'recorded_at' if part.clock is Clock.RECORDED else 'occurred_at'} <= %s")
        parameters.append(to_micros(part.as_of))
    direction = "DESC" if part.backwards else "ASC"
    columns = columns.replace("stream", "NULL", 1)  # it is known
    query = (
        f"SELECT {columns} FROM events WHERE {' AND '.join(where)} "  # noqa: S608 - constants
        f"ORDER BY version {direction} LIMIT %s"
    )
    return query, [*parameters, part.limit]


def postgres_page(wanted: Filter) -> Query:
    """Return the query for the rows that are wanted, and behind each the fence: its epoch and transaction.

    There is a row of the fence alone where none is wanted. Fence and rows are of one snapshot.
    """
    where, parameters = _postgres_where(wanted)
    direction = "DESC" if wanted.backwards else "ASC"
    inner = ", ".join(f"{column} {direction}" for column in _PLACE.split(", "))
    outer = ", ".join(f"page.{column} {direction}" for column in _PLACE.split(", "))
    query = (
        f"{_FENCE} SELECT page.*, fence.* FROM fence LEFT JOIN LATERAL (SELECT {_POSTGRES} "  # noqa: S608 - constants
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
