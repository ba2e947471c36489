"""From the configuration to a cache."""

from pathlib import Path

from pipelines_persistence.adapters.caching.local import MemoryLevel, NoLevel
from pipelines_persistence.adapters.caching.redis_level import RedisLevel
from pipelines_persistence.adapters.caching.valkey import EmbeddedValkey
from pipelines_persistence.caching.coordinator import TieredCache
from pipelines_persistence.caching.ports import Guard, SharedLevel
from pipelines_persistence.caching.records import Policy
from pipelines_persistence.configuration import CacheConfig
from pipelines_persistence.errors import ConfigurationError


def open_cache(
    config: CacheConfig, home: Path, redis_url: str | None, guard: Guard | None = None
) -> TieredCache:
    """Return the cache that is configured. No server is asked, and none started, before it is first used.

    Args:
        config: see there.
        home: where an embedded server keeps its files.
        redis_url: of a shared server, or None.
        guard: of the shared level, such as a circuit breaker; it is never asked to repeat anything.

    Raises:
        ConfigurationError: there is no URL, or none that can be read; or an extra is missing.
    """
    backend = chosen_backend(config, redis_url)
    policy = Policy(
        ttl=config.ttl,
        local_ttl=config.local_ttl,
        stale=config.stale,
        largest=config.largest,
        jitter=config.jitter,
        patience=config.patience,
        hold=config.hold,
    )
    if backend == "none":
        return TieredCache(NoLevel(), backend=backend, policy=policy)
    shared = shared_level(config, home, redis_url)
    return TieredCache(MemoryLevel(config.memory), shared, backend=backend, policy=policy, guard=guard)


def chosen_backend(config: CacheConfig, redis_url: str | None) -> str:
    """Return what `auto` means here, and anything else as it is."""
    if config.backend != "auto":
        return config.backend
    return "redis" if redis_url else "memory"


def shared_level(config: CacheConfig, home: Path, redis_url: str | None) -> SharedLevel | None:
    """Return the level that processes share, not opened yet; None where the configuration has none.

    Raises:
        ConfigurationError: see `open_cache`.
    """
    backend = chosen_backend(config, redis_url)
    if backend in {"none", "memory"}:
        return None
    if backend == "valkey":
        server = EmbeddedValkey(home, config.server_memory)
        return RedisLevel(
            server.url,
            name=backend,
            prefix=config.prefix,
            timeout=config.timeout,
            lease=config.lease,
            prepare=server.start,
        )
    if not redis_url:
        raise ConfigurationError("the cache backend is 'redis', and PIPELINES_REDIS_URL is not set: set it")
    return RedisLevel(redis_url, prefix=config.prefix, timeout=config.timeout, lease=config.lease)
