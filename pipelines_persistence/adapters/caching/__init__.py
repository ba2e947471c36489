"""The levels of the cache, and `open_cache`, which puts them together."""

from pipelines_persistence.adapters.caching.opening import chosen_backend, open_cache, shared_level
from pipelines_persistence.adapters.caching.trial import try_out
from pipelines_persistence.adapters.caching.valkey import EmbeddedValkey

__all__ = ["EmbeddedValkey", "chosen_backend", "open_cache", "shared_level", "try_out"]
