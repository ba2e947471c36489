"""The events half of the composition root: log, projections, snapshots and feeds over one database."""

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from pipelines_persistence.events import AggregateRepository, EventStore, SnapshotCounts, SnapshotStore
    from pipelines_persistence.pipelines import PipelineAggregate
    from pipelines_persistence.projections import ProjectionRunner, ReadModels
    from pipelines_persistence.projections.catalog import Configured


class Eventing:
    """Opens what deals with events when it is first needed."""

    def __init__(self, settings: Settings, exits: ExitStack) -> None:
        """Take the settings, and where to leave what has to be closed."""
        self._settings = settings
        self._exits = exits

    @property
    def config(self) -> EventsConfig:
        """What the configuration file says of events."""
        return self._settings.events

    @cached_property
    def database(self) -> "sa.Engine":
        """The database of events and read models.

        Raises:
            ConfigurationError: its URL names no database that is supported.
            StorageError: it cannot be opened, written or migrated.
            DatabaseUnavailable: its server does not answer.
        """
        from pipelines_persistence.adapters.sql.database import open_database

        given = self._settings.database_url
        url = (
            given.get_secret_value()
            if given
            else f"sqlite:///{self._settings.home_directory() / 'events.sqlite'}"
        )
        engine = open_database(url)
        self._exits.callback(engine.dispose)
        return engine

    @cached_property
    def store(self) -> "EventStore":
        """The log."""
        from pipelines_persistence.adapters.sql.event_store import SqlEventStore

        return SqlEventStore(self.database)

    @cached_property
    def models(self) -> "ReadModels":
        """The read models."""
        from pipelines_persistence.adapters.sql.read_models import SqlReadModels

        return SqlReadModels(self.database)

    @cached_property
    def runner(self) -> "ProjectionRunner":
        """Runs projections."""
        from pipelines_persistence.projections import ProjectionRunner

        return ProjectionRunner(self.store, self.models, self.config.partitions)

    @cached_property
    def projections(self) -> "Mapping[str, Configured]":
        """The configured projections, by name; see `configured_projections` for what it raises."""
        from pipelines_persistence.projections.catalog import configured_projections

        return configured_projections(self.config)

    def projection(self, name: str) -> "Configured":
        """Return a projection.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.projections:
            raise ConfigurationError(f"no projection {name!r}: there are {', '.join(self.projections)}")
        return self.projections[name]

    @cached_property
    def snapshots(self) -> "SnapshotStore":
        """Snapshots of aggregates, beside the log."""
        from pipelines_persistence.adapters.sql.snapshots import SqlSnapshotStore

        return SqlSnapshotStore(self.database)

    @cached_property
    def pipelines(self) -> "AggregateRepository[PipelineAggregate]":
        """The pipelines in the log, with snapshots as configured."""
        return self._pipelines(self.config.snapshots.every)

    def take_snapshots(self, every: int | None = None) -> "SnapshotCounts":
        """Bring the snapshots of all pipelines up to the policy; `every` replaces the configured number of events."""
        return self._pipelines(every or self.config.snapshots.every).take_snapshots()

    def _pipelines(self, every: int) -> "AggregateRepository[PipelineAggregate]":
        from pipelines_persistence.events import AggregateRepository, SnapshotPolicy
        from pipelines_persistence.pipelines import PipelineAggregate, registry

        days = self.config.snapshots.days
        policy = SnapshotPolicy(every, timedelta(days=days) if days else None)
        return AggregateRepository(
            self.store, self.snapshots, PipelineAggregate, registry=registry, policy=policy
        )
