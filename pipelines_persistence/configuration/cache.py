"""The model of the caches."""

from typing import Literal

from pydantic import Field

from pipelines_persistence.configuration.model import Model


class CacheConfig(Model):
    """Caches of searches, read models and the embeddings of queries."""

    backend: Literal["auto", "none", "memory", "redis", "valkey"] = "auto"
    """`memory` (in each process), `redis` (shared; `PIPELINES_REDIS_URL` says where), `valkey` (shared by the processes of this
    machine, no server needed: the extra `valkey`), `none`. `auto` takes redis where a URL is given, else memory."""

    ttl: float = Field(default=3600.0, gt=0)
    """Seconds for which an entry is fresh; some are taken off at random, so that entries do not end together."""

    local_ttl: float = Field(default=300.0, gt=0, le=300)
    """The most seconds for which a process trusts its own copy."""

    stale: float = Field(default=86_400.0, ge=0)
    """Seconds beyond `ttl` for which an entry is kept, to be served when its origin fails."""

    memory: int = Field(default=64 * 2**20, ge=2**16)
    """The most bytes in each process; what was not used for the longest time goes first."""

    largest: int = Field(default=2**20, ge=1)
    """Bytes of the largest value that is cached."""

    jitter: float = Field(default=0.1, ge=0, lt=1)
    """The share of `ttl` that may be taken off."""

    lease: float = Field(default=5.0, ge=0.1)
    """Seconds after which another process loads what a crashed one was about to load; a live one renews its lease."""

    patience: float = Field(default=30.0, gt=0)
    """The most seconds for which a process waits for another one to load, before it does so itself."""

    hold: float = Field(default=5.0, ge=0)
    """Seconds for which a stale value is served before an origin that failed is asked again."""

    timeout: float = Field(default=0.25, gt=0)
    """Seconds after which the shared cache is taken for down; it is asked again in the background."""

    server_memory: int = Field(default=256 * 2**20, ge=2**22)
    """The most bytes that the server of `valkey` takes; what was not used for the longest time goes first."""

    prefix: str = Field(default="pipelines:", min_length=1, pattern=r"^[\x21-\x7e]+$")
    """Begins all keys in the shared cache; two installations on one server need two."""
