"""The records of builds and checkpoints, as statements in the caller's transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.projection_schema import builds, checkpoints, dead_letters
from pipelines_persistence.events import START, Cursor
from pipelines_persistence.projections.ports import (
    ADVANCING,
    Build,
    BuildState,
    Checkpoint,
    Standing,
    Step,
)

_COLUMNS = [
    builds.c.id,
    builds.c.projection,
    builds.c.fingerprint,
    builds.c.state,
    builds.c.partitions,
    builds.c.as_of,
    builds.c.created_at,
]
_MARK = [checkpoints.c.cursor, checkpoints.c.events, checkpoints.c.updated_at]


class BuildRecords:
    """What the database knows of builds."""

    def __init__(self, connection: sa.Connection) -> None:
        """Take the connection with the open transaction."""
        self._connection = connection

    def all(self, projection: str = "") -> list[Build]:
        """Return the builds of a projection, or all of them, the oldest first."""
        query = sa.select(*_COLUMNS).order_by(builds.c.id)
        if projection:
            query = query.where(builds.c.projection == projection)
        return [_build(row) for row in self._connection.execute(query)]

    def add(self, projection: str, fingerprint: str, state: BuildState, partitions: int, as_of: str) -> Build:
        """Record a new build that has seen nothing."""
        now = datetime.now(UTC)
        values = {
            "projection": projection,
            "fingerprint": fingerprint,
            "state": str(state),
            "partitions": partitions,
            "as_of": as_of,
            "created_at": now,
            "changed_at": now,
        }
        key = self._connection.execute(builds.insert().values(values)).inserted_primary_key
        number = key[0] if key else 0
        marks = [
            {"build_id": number, "partition": index, "cursor": str(START), "events": 0, "updated_at": now}
            for index in range(partitions)
        ]
        self._connection.execute(checkpoints.insert(), marks)
        return Build(number, projection, fingerprint, state, partitions, as_of, now)

    def change(self, build: Build, state: BuildState) -> None:
        """Record what a build is for now."""
        values = {"state": str(state), "changed_at": datetime.now(UTC)}
        self._connection.execute(builds.update().where(builds.c.id == build.id).values(values))

    def remove(self, build: Build) -> None:
        """Forget a build with its checkpoints and dead letters."""
        self._connection.execute(builds.delete().where(builds.c.id == build.id))

    def standing(self, projection: str) -> Standing | None:
        """Return the live build of a projection and how far its partitions are, by one statement."""
        query = (
            sa.select(*_COLUMNS, *_MARK)
            .join(checkpoints, checkpoints.c.build_id == builds.c.id)
            .where(builds.c.projection == projection, builds.c.state == str(BuildState.LIVE))
            .order_by(checkpoints.c.partition)
        )
        rows = self._connection.execute(query).all()
        width = len(_COLUMNS)
        marks = tuple(_checkpoint(row[width:]) for row in rows)
        return Standing(_build(rows[0][:width]), marks) if rows else None

    def checkpoint(self, build: Build, partition: int) -> Checkpoint | None:
        """Return how far a partition is; None if the build was dropped."""
        query = sa.select(*_MARK).where(
            checkpoints.c.build_id == build.id, checkpoints.c.partition == partition
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _checkpoint(row)

    def lock_cursors(self, build: Build) -> list[Cursor]:
        """Return the cursors of all partitions, and let none of them move before the transaction ends."""
        query = sa.select(checkpoints.c.cursor).where(checkpoints.c.build_id == build.id).with_for_update()
        return [Cursor.parse(row[0]) for row in self._connection.execute(query)]

    def move(self, step: Step) -> bool:
        """Compare a checkpoint and set it, and record who was passed over; False if it stands elsewhere, or stands still."""
        now = datetime.now(UTC)
        advancing = sa.exists().where(
            builds.c.id == step.build.id, builds.c.state.in_([str(state) for state in sorted(ADVANCING)])
        )
        values: dict[str, Any] = {"cursor": str(step.new), "events": checkpoints.c.events + step.events}
        if step.events:
            values["updated_at"] = now
        moved = self._connection.execute(
            checkpoints.update()
            .where(
                checkpoints.c.build_id == step.build.id,
                checkpoints.c.partition == step.partition,
                checkpoints.c.cursor == str(step.old),
                advancing,
            )
            .values(values)
        )
        if moved.rowcount != 1:
            return False
        if step.dead:
            self._connection.execute(
                dead_letters.insert(), [_letter(step, letter, now) for letter in step.dead]
            )
        return True


def is_further(live: Sequence[Cursor], new: Sequence[Cursor]) -> bool:
    """Tell whether a reader who changes from one to the other could go back in time."""
    return max(live) > min(new)


def _build(row: Any) -> Build:  # noqa: ANN401 - SQLAlchemy rows are typed by their query only
    number, projection, fingerprint, state, partitions, as_of, created_at = row
    return Build(number, projection, fingerprint, BuildState(state), partitions, as_of, created_at)


def _checkpoint(row: Any) -> Checkpoint:  # noqa: ANN401 - as above
    cursor, events, updated_at = row
    return Checkpoint(Cursor.parse(cursor), events, updated_at)


def _letter(step: Step, letter: Any, now: datetime) -> dict[str, Any]:  # noqa: ANN401 - a DeadLetter
    return {
        "build_id": step.build.id,
        "event_id": letter.event_id,
        "stream": letter.stream,
        "version": letter.version,
        "type": letter.type,
        "cursor": str(letter.cursor),
        "error": letter.error,
        "failed_at": now,
    }
