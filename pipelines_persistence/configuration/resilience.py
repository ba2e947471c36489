"""The model of retries, circuit breakers, deadlines and pools, for each dependency."""

from pydantic import Field

from pipelines_persistence.configuration.model import Model


class RetryConfig(Model):
    """Retries of a unit of work that failed for a while: exponential, with jitter. What a server asks for is honoured."""

    attempts: int = Field(default=4, ge=1, le=100)
    """How often it is tried in all."""

    wait: float = Field(default=0.2, gt=0)
    """Seconds before the second attempt; doubled with each."""

    longest: float = Field(default=10.0, gt=0)
    """The most seconds between two attempts, unless a server asks for more."""

    seconds: float = Field(default=60.0, gt=0)
    """The most seconds for all attempts: no wait begins that would end later."""


class BreakerConfig(Model):
    """Leaves a dependency alone that fails too often."""

    failure_ratio: float = Field(default=0.5, gt=0, le=1)
    """The share of failures within the window that opens it."""

    window: float = Field(default=30.0, gt=0)
    """Seconds over which calls are counted."""

    minimum: int = Field(default=10, ge=2)
    """Calls within the window below which it never opens."""

    seconds: float = Field(default=5.0, gt=0)
    """How long it stays open; then one call tries."""


class DependencyConfig(Model):
    """One dependency."""

    retry: RetryConfig = RetryConfig()
    """What is tried again, and how often."""

    breaker: BreakerConfig = BreakerConfig()
    """When it is left alone."""


class DatabaseConfig(DependencyConfig):
    """A database server. Options of libpq that the URL names, such as `connect_timeout`, win."""

    connect_timeout: float = Field(default=10.0, ge=2)
    """Seconds for connecting, log-in included."""

    timeout: float = Field(default=300.0, gt=0)
    """Seconds for a statement; a transaction that is open and does nothing is ended after as long."""

    silence: float = Field(default=30.0, ge=1)
    """Seconds after which a peer that acknowledges nothing is taken for gone."""

    connections: int = Field(default=5, ge=1, le=1000)
    """Connections that each process keeps."""

    overflow: int = Field(default=10, ge=0, le=1000)
    """Further connections while they are needed."""


class TimedConfig(DependencyConfig):
    """A dependency whose calls have a deadline."""

    timeout: float = Field(default=10.0, gt=0)
    """Seconds for connecting, and for an answer."""


class SourcesConfig(TimedConfig):
    """Sources that are not local."""

    timeout: float = Field(default=60.0, gt=0)
    """Seconds for an answer, where the protocol has such a limit: `s3`, `gs`."""


class ResilienceConfig(Model):
    """What happens when a dependency fails."""

    vector_store: DependencyConfig = DependencyConfig()
    """Qdrant, where it is a server."""

    database: DatabaseConfig = DatabaseConfig()
    """The database of events and read models, where it is a server."""

    cache: DependencyConfig = DependencyConfig()
    """Redis or Valkey, as the shared cache. The cache fails open: callers never see it fail."""

    streams: TimedConfig = TimedConfig()
    """Redis, as a source of events."""

    sources: SourcesConfig = SourcesConfig()
    """Buckets and other file systems that are not local; each source for itself."""

    embedder: DependencyConfig = DependencyConfig()
    """An embedder of your own, which may be a service."""
