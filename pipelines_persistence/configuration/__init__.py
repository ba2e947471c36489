"""The model of `pipelines.yaml`. Loading stands in `settings.py`."""

from typing import Self

from pydantic import Field, model_validator

from pipelines_persistence.configuration.cache import CacheConfig
from pipelines_persistence.configuration.events import (
    EventsConfig,
    PersonalConfig,
    ProjectionConfig,
    RedisConfig,
    SnapshotConfig,
)
from pipelines_persistence.configuration.health import HealthConfig
from pipelines_persistence.configuration.indexes import (
    BACKENDS,
    DEFAULT_MODEL,
    ChunkingConfig,
    CollectionConfig,
    DeletionGuard,
    EmbeddingConfig,
    HnswConfig,
    IndexConfig,
    LimitsConfig,
    SourceConfig,
)
from pipelines_persistence.configuration.model import Model, Name
from pipelines_persistence.configuration.qdrant import QdrantConfig
from pipelines_persistence.configuration.resilience import (
    BreakerConfig,
    DependencyConfig,
    ResilienceConfig,
    RetryConfig,
)

__all__ = [
    "BACKENDS",
    "DEFAULT_MODEL",
    "BreakerConfig",
    "CacheConfig",
    "ChunkingConfig",
    "CollectionConfig",
    "DeletionGuard",
    "DependencyConfig",
    "EmbeddingConfig",
    "EventsConfig",
    "HealthConfig",
    "HnswConfig",
    "IndexConfig",
    "LimitsConfig",
    "PersonalConfig",
    "PipelinesConfig",
    "ProjectionConfig",
    "QdrantConfig",
    "RedisConfig",
    "ResilienceConfig",
    "RetryConfig",
    "SnapshotConfig",
    "SourceConfig",
]


class PipelinesConfig(Model):
    """The whole file."""

    indexes: dict[Name, IndexConfig] = Field(default={})
    """Each key names an index: its Qdrant alias, its Dagster asset group and what `pipelines ingest NAME` takes."""

    events: EventsConfig = EventsConfig()
    """Event streams, and what is projected from them."""

    qdrant: QdrantConfig = QdrantConfig()
    """How a Qdrant server is spoken to, where there is one."""

    cache: CacheConfig = CacheConfig()
    """Caches of searches, read models and the embeddings of queries."""

    resilience: ResilienceConfig = ResilienceConfig()
    """Retries and circuit breakers, for each dependency."""

    health: HealthConfig = HealthConfig()
    """What is observed of each dependency, and from when on it is worth a warning."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.indexes and "events" not in self.model_fields_set:
            raise ValueError("nothing is configured: add 'indexes', or 'events'")
        return self

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        groups: dict[str, str] = {}
        for name in self.indexes:
            other = groups.setdefault(name.replace("-", "_"), name)
            if other != name:
                raise ValueError(f"the indexes {other!r} and {name!r} differ only by '-' and '_': rename one")
        return self
