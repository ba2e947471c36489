"""The levels of the cache, and `open_cache`, which puts them together."""

from pipelines_persistence.adapters.caching.opening import open_cache

__all__ = ["open_cache"]
