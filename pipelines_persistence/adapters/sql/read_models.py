"""The `ReadModels` port on SQLAlchemy Core, for SQLite and PostgreSQL.

A build's tables are `<projection>__<build>`, and a view `<projection>` shows the live one: a person's SQL sees the swap
as the platform does. They are derived, so no migration knows them: a change is a new build.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.build_records import BuildRecords, is_further
from pipelines_persistence.adapters.sql.event_transactions import Sleep
from pipelines_persistence.adapters.sql.projection_schema import dead_letters
from pipelines_persistence.adapters.sql.read_model_tables import SqlTable
from pipelines_persistence.adapters.sql.repositories import SqlReader
from pipelines_persistence.adapters.sql.schema import metadata
from pipelines_persistence.adapters.sql.transactions import OwnTransactions
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.events import Cursor
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.ports import (
    Build,
    BuildState,
    Checkpoint,
    CheckpointMoved,
    DeadLetter,
    NotCaughtUp,
    Standing,
    Step,
    build_of,
)
from pipelines_persistence.projections.rows import STREAM, Unit
from pipelines_persistence.projections.tables import Key, R, Table
from pipelines_persistence.repositories import Reader, Relation, Specification
from pipelines_persistence.repositories.conditions import Operator, Test
from pipelines_persistence.repositories.ports import ALL
from pipelines_persistence.repositories.tables import columns_of

_LOCK = 7_304_512_002  # an advisory lock's key: any number that nobody else uses
_PATIENCE = "10s"  # that a swap waits for a reader of the view; others wait behind it


class SqlReadModels:
    """Read models in a database that `open_database` opened. Safe to share between threads."""

    def __init__(self, engine: sa.Engine, *, sleep: Sleep = time.sleep) -> None:
        """Take the engine; `close` disposes of it. `sleep` waits between two attempts, in seconds."""
        self._work = OwnTransactions(engine, sleep)
        self._dialect = engine.dialect.name
        self._tables: dict[tuple[int, type], SqlTable] = {}

    # Builds

    def open(
        self, projection: Projection, state: BuildState, *, partitions: int = 1, as_of: str = ""
    ) -> Build:
        """See `ReadModels`."""
        if projection.name in metadata.tables:
            raise ConfigurationError(f"{projection.name!r} is a table of the platform: choose another name")

        def work(connection: sa.Connection) -> tuple[Build, list[Build]]:
            records = self._records(connection)
            same = [build for build in records.all(projection.name) if build.state is state]
            for build in same:
                if (build.fingerprint, build.as_of) == (projection.fingerprint, as_of):
                    return build, []
            build = records.add(projection.name, projection.fingerprint, state, partitions, as_of)
            for table in projection.tables:
                for statement in self._table(build, table).statements():
                    connection.exec_driver_sql(statement)
            return build, same

        build, superseded = self._work.write(work)
        for other in superseded:
            self.drop(other)
        return build

    def builds(self, projection: str = "") -> list[Build]:
        """See `ReadModels`."""
        return self._work.read(lambda connection: BuildRecords(connection).all(projection))

    def live(self, projection: str) -> Build | None:
        """See `ReadModels`."""
        return next((build for build in self.builds(projection) if build.state is BuildState.LIVE), None)

    def promote(self, build: Build) -> None:
        """See `ReadModels`."""

        def work(connection: sa.Connection) -> list[Build] | None:
            records = self._records(connection)
            states = {other.id: other for other in records.all(build.projection)}
            if build.id in states and states[build.id].state is BuildState.LIVE:
                return []
            live = next((other for other in states.values() if other.state is BuildState.LIVE), None)
            if live and is_further(records.lock_cursors(live), records.lock_cursors(build)):
                return None
            gone = [other for other in states.values() if other.state in _KEPT]
            if live:
                records.change(live, BuildState.PREVIOUS)
            records.change(build, BuildState.LIVE)
            self._show(connection, build)
            return gone

        superseded = self._work.write(work)
        # Said out here, and not to what guards the database: that is well, and to repeat it would not help.
        if superseded is None:
            raise NotCaughtUp(f"{build.projection}: the live build went on, catch up with it")
        for other in superseded:
            self.drop(other)

    def rollback(self, projection: str) -> Build:
        """See `ReadModels`."""

        def work(connection: sa.Connection) -> Build:
            records = self._records(connection)
            by_state = {build.state: build for build in records.all(projection)}
            previous, live = by_state.get(BuildState.PREVIOUS), by_state.get(BuildState.LIVE)
            if previous is None or live is None:
                raise ConfigurationError(f"{projection!r} has no previous build to go back to")
            records.change(live, BuildState.WITHDRAWN)
            records.change(previous, BuildState.LIVE)
            self._show(connection, previous)
            return previous

        self._work.write(work)
        return self.live(projection) or self.rollback(projection)

    def drop(self, build: Build) -> None:
        """See `ReadModels`."""

        def work(connection: sa.Connection) -> None:
            names = [name for name in self._names(connection) if _belongs(name, build)]
            for name in names:
                connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}"')
            BuildRecords(connection).remove(build)

        self._work.write(work)

    # Work

    def standing(self, projection: str) -> Standing | None:
        """See `ReadModels`."""
        return self._work.read(lambda connection: BuildRecords(connection).standing(projection))

    def checkpoint(self, build: Build, partition: int = 0) -> Checkpoint:
        """See `ReadModels`."""
        mark = self._work.read(lambda connection: BuildRecords(connection).checkpoint(build, partition))
        if mark is None:
            raise CheckpointMoved(f"the build {build.id} of {build.projection!r} is there no more")
        return mark

    def advance(self, step: Step, work: Callable[[Unit], None]) -> None:
        """See `ReadModels`."""

        def both(connection: sa.Connection) -> bool:
            has_moved = BuildRecords(connection).move(step)
            if has_moved:
                work(SqlUnit(self, step.build, connection.connection.driver_connection))
            return has_moved

        if not self._work.write(both):
            raise CheckpointMoved(
                f"{step.build.projection}: the checkpoint is not at {step.old}, or was replaced"
            )

    def dead_letters(self, build: Build, limit: int = 100) -> list[DeadLetter]:
        """See `ReadModels`."""
        columns = dead_letters.c
        names = [
            columns.event_id,
            columns.stream,
            columns.version,
            columns.type,
            columns.cursor,
            columns.error,
        ]
        query = (
            sa.select(*names).where(columns.build_id == build.id).order_by(columns.cursor.desc()).limit(limit)
        )
        rows = self._work.read(lambda connection: connection.execute(query).all())
        return [
            DeadLetter(event_id, stream, version, type_, Cursor.parse(cursor), error)
            for event_id, stream, version, type_, cursor, error in rows
        ]

    def count_dead(self, build: Build) -> int:
        """See `ReadModels`."""
        query = sa.select(sa.func.count()).where(dead_letters.c.build_id == build.id)
        return self._work.read(lambda connection: connection.execute(query).scalar_one())

    # Reading

    def repository(self, build: Build, table: Table[R]) -> Reader[R]:
        """See `ReadModels`."""
        return SqlReader(table, self._table(build, table), self._work, partial(self._located, build))

    def rows(
        self,
        build: Build,
        table: Table[R],
        specification: Specification[R] = ALL,
        limit: int | None = None,
    ) -> Iterator[R]:
        """See `ReadModels`."""
        return islice(self.repository(build, table).walk(specification), limit)

    def count(self, build: Build, table: Table[Any]) -> int:
        """See `ReadModels`."""
        return self.repository(build, table).count()

    def close(self) -> None:
        """See `ReadModels`."""
        self._work.engine.dispose()

    # Helpers

    def _table(self, build: Build, table: Table[R]) -> SqlTable:
        key = (build.id, table.row)
        if key not in self._tables:
            suffix = f"__{table.name}" if table.name else ""
            self._tables[key] = SqlTable(table, f"{build.projection}__{build.id}{suffix}", self._dialect)
        return self._tables[key]

    def _located(self, build: Build, relation: Relation[Any]) -> SqlTable:
        return self._table(build_of(self, build, relation), relation.table)

    def _records(self, connection: sa.Connection) -> BuildRecords:
        """Open the records for changing: one at a time, whichever process it is."""
        if self._dialect == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        return BuildRecords(connection)

    def _show(self, connection: sa.Connection, build: Build) -> None:
        connection.exec_driver_sql(f'DROP VIEW IF EXISTS "{build.projection}"')
        connection.exec_driver_sql(
            f'CREATE VIEW "{build.projection}" AS SELECT * FROM "{build.projection}__{build.id}"'  # noqa: S608 - the name was checked
        )

    def _names(self, connection: sa.Connection) -> list[str]:
        return sa.inspect(connection).get_table_names()


class SqlUnit:
    """See `Unit`."""

    def __init__(self, models: SqlReadModels, build: Build, driver: Any) -> None:  # noqa: ANN401 - of either database
        """Take the tables, whose they are, and the driver's connection with the open transaction."""
        self._models = models
        self._build = build
        self._driver = driver

    def load(self, table: Table[R], keys: Sequence[Key]) -> list[R]:
        """See `Unit`."""
        return self._open(table).load(self._driver, keys)

    def upsert(self, table: Table[R], rows: Sequence[R]) -> None:
        """See `Unit`."""
        self._open(table).upsert(self._driver, rows)

    def delete(self, table: Table[R], keys: Sequence[Key]) -> None:
        """See `Unit`."""
        self._open(table).delete(self._driver, keys)

    def delete_stream(self, table: Table[R], stream: str) -> None:
        """See `Unit`."""
        text, values = self._open(table).remove(Test(columns_of(table.row)[STREAM], Operator.EQUAL, stream))
        with closing(self._driver.cursor()) as cursor:
            cursor.execute(text, values)

    def from_end(self, table: Table[R], prefix: Key, offset: int, limit: int) -> list[R]:
        """See `Unit`."""
        return self._open(table).from_end(self._driver, prefix, offset, limit)

    def _open(self, table: Table[R]) -> SqlTable:
        return self._models._table(self._build, table)  # noqa: SLF001 - of the same module


_KEPT = (BuildState.PREVIOUS, BuildState.WITHDRAWN)


def _belongs(name: str, build: Build) -> bool:
    base = f"{build.projection}__{build.id}"
    return name == base or name.startswith(f"{base}__")
