"""The cache of two levels: see docs/caching.md."""

from pipelines_persistence.caching.codecs import Hits, Raw, Struct, Vector, json_values
from pipelines_persistence.caching.coordinator import TieredCache
from pipelines_persistence.caching.ports import Cache, Codec, Namespace
from pipelines_persistence.caching.queries import CachedQueryEmbedder
from pipelines_persistence.caching.reads import CachedReads
from pipelines_persistence.caching.records import CacheState, Policy, Stats

__all__ = [
    "Cache",
    "CacheState",
    "CachedQueryEmbedder",
    "CachedReads",
    "Codec",
    "Hits",
    "Namespace",
    "Policy",
    "Raw",
    "Stats",
    "Struct",
    "TieredCache",
    "Vector",
    "json_values",
]
