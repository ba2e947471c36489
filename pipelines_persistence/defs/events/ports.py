"""What the assets, checks and sensors of events need; the composition root provides it."""

from collections.abc import Mapping
from typing import Protocol

from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.events import AggregateRepository, EventStore, SnapshotCounts
from pipelines_persistence.events.feeds import Notify
from pipelines_persistence.pipelines import PipelineAggregate
from pipelines_persistence.projections import ProjectionRunner, ReadModels
from pipelines_persistence.projections.catalog import Configured
from pipelines_persistence.records import Json


class Loaded(Protocol):
    """What was taken into the log."""

    def as_json(self) -> dict[str, Json]:
        """Return numbers (`read`, `appended`, `duplicates`, `streams`, `seconds`) and what is wrong.

        That is `rejected`, objects with file, line, field and reason, and where it is known `refused` (events of closed
        streams), `malformed` (lines in all files, also those that were read before) and `broken` (reasons by file).
        """


class Events(Protocol):
    """The log, the read models, and what moves events between them, over whatever adapters are configured.

    Every member may raise `DatabaseUnavailable` and `StorageError`.
    """

    @property
    def config(self) -> EventsConfig:
        """What the configuration file says of events."""

    @property
    def store(self) -> EventStore:
        """The log."""

    @property
    def models(self) -> ReadModels:
        """The read models."""

    @property
    def runner(self) -> ProjectionRunner:
        """Runs projections."""

    @property
    def pipelines(self) -> AggregateRepository[PipelineAggregate]:
        """The pipelines in the log."""

    def projection(self, name: str) -> Configured:
        """Return a projection.

        Raises:
            ConfigurationError: there is none of that name.
        """

    def scratch(self) -> ReadModels:
        """Return read models that nobody else sees and that leave nothing behind."""

    def news(self) -> Mapping[str, str]:
        """Return a signature of what lies in each feed, which changes when something comes; "" where there is nothing.

        The feeds are named as they are configured: folders of the inbox, streams of Redis.
        """

    def take_in(self, notify: Notify) -> Loaded:
        """Append what lies in the feeds and is not in the log."""

    def take_snapshots(self) -> SnapshotCounts:
        """Bring the snapshots of aggregates up to the configured policy."""
