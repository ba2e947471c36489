"""What a server of Redis or Valkey says of itself."""

import time
from dataclasses import dataclass
from typing import Any

from pipelines_persistence.errors import CacheUnavailable, ConfigurationError


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """A server at one moment.

    Attributes:
        version: "" where the user may not ask for it, nor for the rest.
        latency: seconds of a round trip, without connecting.
        memory: bytes that its data takes.
        most_memory: bytes that it may take; 0 for no limit.
        hit_rate: share of look-ups that found something since it started; None if there were none.
        evicted: keys that it dropped for want of memory since it started.
    """

    version: str
    latency: float
    memory: int
    most_memory: int
    clients: int
    keys: int
    evicted: int
    hit_rate: float | None


def redis_facts(url: str, timeout: float, variable: str) -> RedisFacts:
    """Ask a server, once.

    Args:
        url: of the server; its password is in no message.
        timeout: seconds for connecting, and for each answer.
        variable: of the environment, which holds the URL; for messages.

    Raises:
        CacheUnavailable: it does not answer.
        ConfigurationError: the URL cannot be read, or the server refuses the log-in.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        client = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )
    except ValueError:
        # Without the cause, which quotes pieces of the URL.
        raise ConfigurationError(
            f"the URL in {variable} cannot be read: use redis://:password@host:6379/0, with special characters "
            "percent-encoded"
        ) from None
    with client:
        try:
            return _asked(client)
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise ConfigurationError(
                f"Redis refuses: {error}; check the user and the password in {variable}"
            ) from error
        except TypeError as error:  # of its connection, which is made from the URL only now
            raise ConfigurationError(
                f"the URL in {variable} has a parameter that the client does not know: {error}"
            ) from error
        except redis.RedisError as error:
            raise CacheUnavailable(
                f"Redis does not answer: {error}; see whether it runs, and {variable}"
            ) from error


def _asked(client: Any) -> RedisFacts:  # noqa: ANN401 - its methods are typed for sync and async at once
    from redis.exceptions import NoPermissionError

    client.ping()
    started = time.perf_counter()
    client.ping()
    latency = time.perf_counter() - started
    try:
        info, keys = client.info(), client.dbsize()
    except NoPermissionError:  # managed servers restrict it; whoever caches needs it not
        info, keys = {}, 0
    looked_up = info.get("keyspace_hits", 0) + info.get("keyspace_misses", 0)
    return RedisFacts(
        version=str(info.get("valkey_version") or info.get("redis_version", "")),
        latency=latency,
        memory=info.get("used_memory", 0),
        most_memory=info.get("maxmemory", 0),
        clients=info.get("connected_clients", 0),
        keys=keys,
        evicted=info.get("evicted_keys", 0),
        hit_rate=info["keyspace_hits"] / looked_up if looked_up else None,
    )
