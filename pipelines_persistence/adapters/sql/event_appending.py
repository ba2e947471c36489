"""Appending as statements in an open transaction, whoever owns it."""

from collections.abc import Sequence

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_rows import NO_HEAD, Backend, Row, new_row
from pipelines_persistence.adapters.sql.event_schema import events, snapshots
from pipelines_persistence.events import ARCHIVED, TOMBSTONED, Append, Appended
from pipelines_persistence.events.appending import expect


def write_events(
    backend: Backend, connection: sa.Connection, appends: Sequence[Append], closing: str = ""
) -> list[Appended]:
    """Append, all or none.

    Args:
        backend: of the connection's database.
        connection: with an open transaction, which has no id yet or sees nothing that was committed since it got it.
        appends: admitted ones.
        closing: the type of the one event, where it closes its stream.

    Raises:
        ConcurrencyConflict, StreamClosed: a stream is not as expected; nothing was written.
    """
    count = sum(len(append.events) for append in appends)
    opening = backend.open(connection, [append.stream for append in appends], count)
    rows: list[Row] = []
    # In one order for all writers, so that two of them seldom wait for each other.
    for append in sorted(appends, key=lambda append: append.stream):
        head = opening.heads.get(append.stream, NO_HEAD)
        may_close = closing == TOMBSTONED and head.type == ARCHIVED
        expect(append, head.version, "" if may_close else head.type)
        recorded_at = max(opening.now, head.recorded_at)  # in a stream it never runs backwards
        rows.extend(
            new_row(append.stream, version, event, recorded_at)
            for version, event in enumerate(append.events, head.version + 1)
        )
    cursor = backend.insert(connection, opening, rows)
    if closing == TOMBSTONED:
        stream, _, version, *_ = rows[0]
        connection.execute(events.delete().where(events.c.stream == stream, events.c.version < version))
        connection.execute(snapshots.delete().where(snapshots.c.stream == stream))
    versions = {stream: version for stream, _, version, *_ in rows}
    return [Appended(append.stream, versions[append.stream], cursor) for append in appends]
