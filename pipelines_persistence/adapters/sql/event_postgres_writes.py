"""How events get into PostgreSQL: one question before they are written, then COPY."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipelines_persistence.adapters.sql.event_rows import COLUMNS, Head, Opening, Row
from pipelines_persistence.events import Cursor

HEADS = """
SELECT wanted.stream, version, type, recorded_at FROM unnest(%s::text[]) AS wanted(stream) CROSS JOIN LATERAL (
  SELECT version, type, recorded_at FROM events WHERE events.stream = wanted.stream COLLATE "C"
  ORDER BY version DESC LIMIT 1) AS head
"""
"""The last event of each of some streams."""

# Positions are taken before the rows are written, for neither COPY nor a second question would be as quick to tell them.
_OPEN = """
SELECT (SELECT max(number) FROM event_epochs), pg_current_xact_id()::text::bigint,
  ARRAY(SELECT nextval('events_position_seq') FROM generate_series(1, %s)),
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
"""
_OPEN_ONE = f"""
{_OPEN}, (SELECT json_build_array(json_build_array(stream, version, type, recorded_at)) FROM events
  WHERE stream = %s ORDER BY version DESC LIMIT 1)
"""  # noqa: S608 - constants
_OPEN_MANY = (
    f"{_OPEN}, (SELECT json_agg(json_build_array(stream, version, type, recorded_at)) FROM ({HEADS}) AS head)"  # noqa: S608 - as above
)
_WRITTEN = f"position, epoch, transaction_id, {COLUMNS}"
_INSERT = f"INSERT INTO events ({_WRITTEN}) VALUES ({', '.join(['%s'] * 15)})"  # noqa: S608 - as above
_COPY = f"COPY events ({_WRITTEN}) FROM STDIN (FORMAT BINARY)"
_COPY_TYPES = [
    "int8",
    "int4",
    "int8",
    "text",
    "text",
    "int4",
    "bytea",
    "text",
    "bytea",
    "int4",
    "int8",
    "int8",
    "text",
    "text",
    "text",
]


def open_log(driver: Any, streams: Sequence[str], count: int) -> Opening:  # noqa: ANN401 - psycopg, which is loaded on demand
    """See `Backend.open`; a single statement, whose snapshot is taken before the transaction gets its id."""
    statement = _OPEN_ONE if len(streams) == 1 else _OPEN_MANY
    given = streams[0] if len(streams) == 1 else list(streams)
    *stamp, heads = driver.execute(statement, (count, given)).fetchone()
    epoch, transaction, positions, now = stamp
    return Opening(epoch, transaction, positions, now, {head[0]: Head(*head[1:]) for head in heads or ()})


def write(driver: Any, opening: Opening, rows: Iterable[Row]) -> Cursor:  # noqa: ANN401 - as above
    """See `Backend.insert`; an INSERT is faster for a single row, COPY for more."""
    if len(opening.positions) > 1:
        _copy(driver, opening, rows)
    else:
        for position, row in zip(opening.positions, rows, strict=False):
            driver.execute(_INSERT, (position, opening.epoch, opening.transaction, *row))
    return Cursor(opening.epoch, opening.transaction, opening.positions[-1])


def _copy(driver: Any, opening: Opening, rows: Iterable[Row]) -> None:  # noqa: ANN401 - as above
    from psycopg.types.string import BytesBinaryDumper

    epoch, transaction, positions, *_ = opening
    with driver.cursor() as cursor:
        # Of those registered for a type's number the last counts, which is one in Python otherwise.
        cursor.adapters.register_dumper(bytes, BytesBinaryDumper)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_COPY_TYPES)
            for position, row in zip(positions, rows, strict=False):
                # Spelt out, for this is where an import spends its time.
                stream, category, version, id_, type_, data, schema, happened, recorded, run, cause, actor = (
                    row
                )
                uuid = bytes.fromhex(id_.replace("-", ""))  # as on the wire: quicker than an object for each
                copy.write_row(
                    (
                        position,
                        epoch,
                        transaction,
                        stream,
                        category,
                        version,
                        uuid,
                        type_,
                        data,
                        schema,
                        happened,
                        recorded,
                        run,
                        cause,
                        actor,
                    )
                )
