"""The `SnapshotStore` port on SQLAlchemy Core, beside the events in the same database."""

import time
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines_persistence.adapters.sql.event_schema import snapshots
from pipelines_persistence.adapters.sql.event_transactions import Sleep, UnitOfWork
from pipelines_persistence.events import Cursor, Snapshot, aware

_COLUMNS = [snapshots.c[name] for name in Snapshot.__struct_fields__]
_KEY = [column.name for column in snapshots.primary_key]


class SqlSnapshotStore:
    """Snapshots in a database that `open_database` opened. Safe to share between threads."""

    def __init__(self, engine: sa.Engine, *, sleep: Sleep = time.sleep) -> None:
        """Take the engine, whose owner closes it.

        Args:
            engine: of an up-to-date database.
            sleep: waits between two attempts, in seconds.
        """
        self._work = UnitOfWork(engine, sleep)
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    def latest(
        self,
        stream: str,
        aggregate_type: str,
        schema_version: int,
        *,
        max_version: int | None = None,
        as_of: Cursor | datetime | None = None,
    ) -> Snapshot | None:
        """See `SnapshotStore`."""
        columns = snapshots.c
        query = sa.select(*_COLUMNS).where(
            columns.stream == stream,
            columns.aggregate_type == aggregate_type,
            columns.schema_version == schema_version,
        )
        if max_version is not None:
            query = query.where(columns.version <= max_version)
        if isinstance(as_of, Cursor):
            query = query.where(columns.cursor <= str(as_of))
        elif as_of is not None:
            query = query.where(columns.recorded_at <= aware(as_of))
        newest = query.order_by(columns.version.desc()).limit(1)
        row = self._work.read(lambda connection: connection.execute(newest).first())
        return None if row is None else _snapshot(row)

    def save(self, snapshot: Snapshot) -> None:
        """See `SnapshotStore`."""
        values = {name: getattr(snapshot, name) for name in Snapshot.__struct_fields__}
        values["cursor"] = str(snapshot.cursor)
        fresh = {name: value for name, value in values.items() if name not in _KEY}
        statement = (
            self._insert(snapshots)
            .values(values)
            .on_conflict_do_update(index_elements=snapshots.primary_key, set_=fresh)
        )
        self._work.write(lambda connection: connection.execute(statement))

    def delete(self, stream: str) -> int:
        """See `SnapshotStore`."""
        return self._delete(snapshots.c.stream == stream)

    def delete_all(self) -> int:
        """See `SnapshotStore`."""
        return self._delete(sa.true())

    def prune(self, aggregate_type: str, schema_version: int, *, keep: int = 1) -> int:
        """See `SnapshotStore`."""
        columns = snapshots.c
        rank = sa.func.row_number().over(partition_by=columns.stream, order_by=columns.version.desc())
        is_current = sa.and_(
            columns.aggregate_type == aggregate_type, columns.schema_version == schema_version
        )
        ranked = sa.select(columns.stream, columns.version, rank.label("rank")).where(is_current).subquery()
        extra = sa.select(ranked.c.stream, ranked.c.version).where(ranked.c.rank > max(keep, 1))
        is_old = sa.and_(columns.aggregate_type == aggregate_type, columns.schema_version < schema_version)
        is_extra = sa.and_(is_current, sa.tuple_(columns.stream, columns.version).in_(extra))
        return self._delete(sa.or_(is_old, is_extra))

    def _delete(self, condition: sa.ColumnElement[bool]) -> int:
        return self._work.write(
            lambda connection: connection.execute(snapshots.delete().where(condition)).rowcount
        )


def _snapshot(row: Any) -> Snapshot:  # noqa: ANN401 - SQLAlchemy rows are typed by their query only
    values = row._asdict()
    return Snapshot(**{**values, "cursor": Cursor.parse(row.cursor), "state": bytes(row.state)})
