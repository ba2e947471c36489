"""The `ObservationHistory` port in a database, and its table."""

import json
from datetime import datetime

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_schema import UtcMicros, big_id
from pipelines_persistence.adapters.sql.event_transactions import UnitOfWork
from pipelines_persistence.adapters.sql.schema import metadata
from pipelines_persistence.observations import Health, Observation

observations = sa.Table(
    "observations",
    metadata,
    sa.Column("id", big_id, primary_key=True),
    sa.Column("dependency", sa.Text, nullable=False),
    sa.Column("observed_at", UtcMicros, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("latency", sa.Float, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("measures", sa.Text, nullable=False),
    sa.Index("ix_observations_dependency", "dependency", "observed_at"),
    sa.Index("ix_observations_observed_at", "observed_at"),
)


class SqlObservations:
    """See `ObservationHistory`. Safe to share between threads and processes."""

    def __init__(self, engine: sa.Engine) -> None:
        """Take the engine of an up-to-date database, which its owner closes."""
        self._work = UnitOfWork(engine)

    def record(self, found: list[Observation]) -> None:
        """See `ObservationHistory`."""
        if found:
            rows = [_row(observation) for observation in found]
            self._work.write(lambda connection: connection.execute(observations.insert(), rows))

    def history(self, dependency: str, limit: int = 100) -> list[Observation]:
        """See `ObservationHistory`."""
        newest = observations.c.observed_at.desc(), observations.c.id.desc()
        query = observations.select().where(observations.c.dependency == dependency).order_by(*newest)
        rows = self._work.read(lambda connection: connection.execute(query.limit(limit)).all())
        return [_observation(row) for row in rows]

    def dependencies(self) -> list[str]:
        """See `ObservationHistory`."""
        query = sa.select(observations.c.dependency).distinct().order_by(observations.c.dependency)
        return self._work.read(lambda connection: list(connection.execute(query).scalars()))

    def prune(self, before: datetime) -> int:
        """See `ObservationHistory`."""
        old = observations.delete().where(observations.c.observed_at < before)
        return self._work.write(lambda connection: connection.execute(old).rowcount)


def _row(observation: Observation) -> dict[str, object]:
    return {
        "dependency": observation.dependency,
        "observed_at": observation.observed_at,
        "status": str(observation.status),
        "latency": observation.latency,
        "version": observation.version,
        "detail": observation.detail,
        "measures": json.dumps(dict(observation.measures), allow_nan=False),
    }


def _observation(row: "sa.Row[tuple[object, ...]]") -> Observation:
    return Observation(
        dependency=row.dependency,
        status=Health(row.status),
        latency=row.latency,
        observed_at=row.observed_at,
        version=row.version,
        measures=json.loads(row.measures),
        detail=row.detail,
    )
