"""The events half of the composition root: log, projections, snapshots and feeds over one database."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipelines_persistence.configuration import EventsConfig, ResilienceConfig
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.projections.ports import BuildState
from pipelines_persistence.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from pipelines_persistence.adapters.aes import MasterKeys
    from pipelines_persistence.adapters.sql.event_store import SqlEventStore
    from pipelines_persistence.adapters.sql.event_transactions import UnitOfWork as Transactions
    from pipelines_persistence.adapters.sql.subject_keys import SqlSubjectKeys
    from pipelines_persistence.adapters.streams import Streams
    from pipelines_persistence.caching import Cache
    from pipelines_persistence.events import (
        AggregateRepository,
        Appended,
        EventStore,
        SnapshotCounts,
        SnapshotStore,
    )
    from pipelines_persistence.events.feeds import EntryStream, EventFile, FeedPositions, Notify
    from pipelines_persistence.events.personal import CachedKeys, PersonalData
    from pipelines_persistence.events.taking_in import InboxFolder, TakenIn
    from pipelines_persistence.pipelines import PipelineAggregate
    from pipelines_persistence.projections import Projection, ProjectionRunner, ReadModels
    from pipelines_persistence.projections.catalog import Configured
    from pipelines_persistence.repositories import Reader, UnitOfWork
    from pipelines_persistence.resilience import Guards


class Eventing:
    """Opens what deals with events when it is first needed."""

    def __init__(
        self,
        settings: Settings,
        exits: ExitStack,
        guards: "Guards | None" = None,
        cache: "Callable[[], Cache] | None" = None,
    ) -> None:
        """Take what there is.

        Args:
            settings: where things are.
            exits: where to leave what has to be closed.
            guards: of the dependencies; by default as configured.
            cache: opens what keeps the answers of read models; by default they are not kept.
        """
        self._settings = settings
        self._exits = exits
        self._guards = guards
        self._open_cache = cache

    @cached_property
    def guards(self) -> "Guards":
        """What stands between the events and each dependency; as configured where none were given."""
        from pipelines_persistence.resilience import Guards

        return self._guards or Guards(self._resilience)

    @cached_property
    def cache(self) -> "Cache":
        """What keeps the answers of read models."""
        return self._open_cache() if self._open_cache else self._no_cache

    @cached_property
    def _no_cache(self) -> "Cache":
        from pipelines_persistence.adapters.caching import open_cache
        from pipelines_persistence.configuration import CacheConfig

        return open_cache(CacheConfig(backend="none"), self._settings.home, None)

    @property
    def _resilience(self) -> ResilienceConfig:
        return self._settings.configuration.resilience

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
        engine = open_database(url, self._resilience.database, guard=self.guards["database"])
        self._exits.callback(engine.dispose)
        return engine

    @cached_property
    def _log(self) -> "SqlEventStore":
        from pipelines_persistence.adapters.sql.event_store import SqlEventStore

        return SqlEventStore(self.database)

    @cached_property
    def store(self) -> "EventStore":
        """The log; personal data is sealed as configured."""
        if not self.config.personal:
            return self._log
        from pipelines_persistence.adapters.aes import AesGcm
        from pipelines_persistence.events.personal import PersonalDataStore

        return PersonalDataStore(self._log, self._rules, self.subject_keys, AesGcm())

    @cached_property
    def _rules(self) -> "dict[str, PersonalData]":
        from pipelines_persistence.events.personal import PersonalData
        from pipelines_persistence.pipelines import registry

        if own := sorted(registry.versions.keys() & self.config.personal.keys()):
            raise ConfigurationError(
                f"events.personal.{own[0]}: the platform's own types cannot do without their fields, which read as null once "
                "their person is forgotten; use a type of your own for personal data"
            )
        return {name: PersonalData(rule.subject, rule.fields) for name, rule in self.config.personal.items()}

    @cached_property
    def units(self) -> "UnitOfWork[Streams]":
        """Units of work over tables of one's own and the log; personal data is sealed as configured."""
        from pipelines_persistence.adapters.sql.unit_of_work import SqlUnitOfWork

        if not self.config.personal:
            return SqlUnitOfWork(self.database, self._log)
        return SqlUnitOfWork(self.database, self._log, seal=self._sealed)

    def _sealed(self, streams: "Streams", transaction: "Transactions") -> "Streams":
        from pipelines_persistence.adapters.aes import AesGcm
        from pipelines_persistence.adapters.sql.subject_keys import SqlSubjectKeys
        from pipelines_persistence.events.personal import PersonalDataStore

        # A key that is made in a unit stands with its events or not at all, so no cache may remember it.
        keys = SqlSubjectKeys(self.database, self._master, within=transaction)
        return PersonalDataStore(cast("EventStore", streams), self._rules, keys, AesGcm())

    @cached_property
    def subject_keys(self) -> "CachedKeys":
        """The keys of persons."""
        from pipelines_persistence.events.personal import CachedKeys

        return CachedKeys(self._stored_keys)

    @cached_property
    def _stored_keys(self) -> "SqlSubjectKeys":
        from pipelines_persistence.adapters.sql.subject_keys import SqlSubjectKeys

        return SqlSubjectKeys(self.database, self._master)

    @cached_property
    def _master(self) -> "MasterKeys":
        from pipelines_persistence.adapters.aes import MasterKeys

        given = self._settings.master_key
        return MasterKeys(given.get_secret_value() if given else None)

    def rewrap(self) -> int:
        """Wrap the keys of persons anew, with the first master key; return how many there were to do."""
        return self._stored_keys.rewrap()

    def forget(self, subject: str) -> bool:
        """Make a person's data unreadable, and remove what was read of it: snapshots, read models, dead letters.

        Read models are built anew beside what readers see, and past events that cannot be worked in without the data; no
        build is kept to go back to. No cache holds answers of read models that take personal data (see `read_model`). To
        repeat it is safe.

        Returns:
            Whether there was a key.

        Raises:
            ConfigurationError: there is no master key, without which nothing could be built anew; nothing was done.
        """
        from pipelines_persistence.events.personal import forget_subject
        from pipelines_persistence.projections import OnError

        if self._settings.master_key is None:
            raise ConfigurationError(
                "set PIPELINES_MASTER_KEY: without it the read models could not be built anew, and nothing was done"
            )
        self._drop_kept()  # one that is half built would bring back what it has read
        existed = forget_subject(subject, self.subject_keys, self.snapshots.delete_all)
        for configured in self.projections.values():
            self.runner.run(
                configured.projection,
                rebuild=True,
                on_error=OnError.SKIP,
                on_error_rebuilding=OnError.SKIP,
                most_dead=sys.maxsize,
            )
        self._drop_kept()
        return existed

    def tombstone(self, stream: str, actor: str | None = None) -> "Appended":
        """Delete a stream's events for good, also from the read models that are kept to go back to.

        The live ones forget them as soon as they are brought up to date. See `EventStore.tombstone` for what it raises.
        """
        appended = self.store.tombstone(stream, actor=actor)
        self._drop_kept()
        return appended

    def _drop_kept(self) -> None:
        for build in self.models.builds():
            if build.state is not BuildState.LIVE or build.projection not in self.projections:
                self.models.drop(build)

    @cached_property
    def positions(self) -> "FeedPositions":
        """How far each feed has been taken in, beside the log."""
        from pipelines_persistence.adapters.sql.feed_positions import SqlFeedPositions

        return SqlFeedPositions(self.database)

    @staticmethod
    def files(names: Sequence[str], *, twice: bool = False) -> "AbstractContextManager[list[EventFile]]":
        """Open files of JSONL by name; see `event_files`."""
        from pipelines_persistence.adapters.event_files import event_files

        return event_files(names, twice=twice)

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

    def read_model(self, name: str) -> "Reader[Any]":
        """Return the main rows of a projection as readers see them, to ask with specifications.

        It may be kept: each question goes to the build that is live by then. Answers that may hold personal data are not
        kept anywhere: there is nothing to remove when a person is forgotten.

        Raises:
            ConfigurationError: there is no such projection, or it was never built.
        """
        from pipelines_persistence.projections.cached import LiveReader
        from pipelines_persistence.projections.ports import live_build

        projection = self.projection(name).projection
        live_build(self.models, name)
        cache = self._no_cache if self._is_personal(projection) else self.cache
        return LiveReader(self.models, name, projection.tables[0], cache)

    def _is_personal(self, projection: "Projection") -> bool:
        """Whether there may be personal data in the rows: where it reaches a projection that is not one of ours."""
        from pipelines_persistence.projections.shipped import SHIPPED

        ruled = self.config.personal.keys()
        if (
            type(projection) in SHIPPED.values()
        ):  # they keep ids, types and times, and data of types without rules
            return False
        return bool(ruled & projection.types if projection.types else ruled)

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

    def scratch(self) -> "ReadModels":
        """Return read models that nobody else sees and that leave nothing behind."""
        from pipelines_persistence.adapters.memory_read_models import MemoryReadModels

        return MemoryReadModels()

    def take_in(self, notify: "Notify") -> "TakenIn":
        """Append what lies in the configured feeds and is not in the log; see `take_in_all` for what it raises."""
        from pipelines_persistence.events.taking_in import take_in_all

        with self._streams() as streams:
            return take_in_all(self.store, self.positions, self._folders(), streams, notify)

    def news(self) -> dict[str, str]:
        """Return a signature of what lies in each feed and was not taken in yet: "" for nothing."""
        from pipelines_persistence.events.taking_in import signatures

        with self._streams() as streams:
            return signatures(self.positions, self._folders(), streams)

    def _folders(self) -> "dict[str, InboxFolder]":
        from pipelines_persistence.adapters.inbox_folder import InboxFolder

        base = self._settings.config.absolute().parent
        return {name: InboxFolder(base / Path(name).expanduser(), name) for name in self.config.inbox}

    def _streams(self) -> "AbstractContextManager[Sequence[EntryStream]]":
        redis = self.config.redis
        if redis is None:
            return nullcontext(())
        from pipelines_persistence.adapters.redis_streams import redis_streams

        url = os.environ.get(redis.url_variable)
        if not url:
            raise ConfigurationError(
                f"events.redis: set the environment variable {redis.url_variable} to the URL of the server, "
                "redis://:password@host:6379/0"
            )
        return redis_streams(
            url, redis.streams, guard=self.guards["streams"], timeout=self._resilience.streams.timeout
        )
