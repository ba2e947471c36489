"""Streams of Redis, read by position: no consumer group, nothing is written, nothing is taken away."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipelines_persistence.errors import ConfigurationError, SourceUnavailable
from pipelines_persistence.events.feeds import Entry, EntryPage, feed_name
from pipelines_persistence.resilience import Guard

if TYPE_CHECKING:
    import redis

_TIMEOUT = 10.0  # seconds
_PAGE = """
return {redis.call('XINFO', 'STREAM', KEYS[1]), redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])}
"""


@contextlib.contextmanager
def redis_streams(
    url: str, keys: Sequence[str], *, guard: Guard | None = None, timeout: float = _TIMEOUT
) -> Iterator[list["RedisStream"]]:
    """Open some streams of a server. Nothing is asked of it yet.

    Args:
        url: `redis://:password@host:6379/0`, `rediss://…` or `unix://…`.
        keys: of the streams.
        guard: of the server: each page is read through it.
        timeout: seconds for connecting, and for an answer.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # For a connection that the server has closed meanwhile; a guard tries again by itself.
            retry=Retry(NoBackoff(), 0 if guard else 1),
        )
    except ValueError:
        # Without the cause, which quotes pieces of the URL.
        raise ConfigurationError(
            "the URL of Redis cannot be read: use redis://:password@host:6379/0, with special characters "
            "percent-encoded"
        ) from None
    with client:
        yield [RedisStream(client, key, guard) for key in keys]


class RedisStream:
    """See `EntryStream`."""

    def __init__(self, client: "redis.Redis", key: str, guard: Guard | None = None) -> None:
        """Take the client, which its owner closes, the key, and the server's guard."""
        self._client = client
        self._guard = guard
        self.name = key

    @property
    def feed(self) -> str:
        """See `EntryStream`; a key of another server is another feed."""
        return feed_name(f"redis:{self._server}:{self.name}")

    def page(self, after: str, limit: int) -> EntryPage:
        """See `EntryStream`; entries and facts are of one moment.

        Raises:
            SourceUnavailable: the server does not answer.
            CircuitOpen: it failed too often a moment ago.
            ConfigurationError: it refuses, or the key is no stream.
        """
        return self._guard.call(lambda: self._page(after, limit)) if self._guard else self._page(after, limit)

    def _page(self, after: str, limit: int) -> EntryPage:
        import redis

        with self._explained():
            try:
                facts, entries = self._asked(after, limit)
            except redis.exceptions.OutOfMemoryError:
                facts, entries = self._asked_of_a_full_server(after, limit)
        if facts is None:
            return EntryPage([], "0-0", 0)
        return EntryPage(
            [Entry(entry_id.decode(), fields) for entry_id, fields in entries],
            facts["last-generated-id"].decode(),
            facts.get("entries-added"),  # from Redis 7.0
        )

    def _asked(self, after: str, limit: int) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the facts of the stream, None if there is none, and the entries."""
        pipe = self._client.pipeline(transaction=True)
        pipe.xinfo_stream(self.name)
        pipe.xrange(self.name, min=f"({after}", max="+", count=limit)
        facts, entries = pipe.execute(raise_on_error=False)
        if _is_absent(facts):
            return None, []
        for answer in (facts, entries):
            if isinstance(answer, Exception):
                raise answer
        return facts, entries

    def _asked_of_a_full_server(self, after: str, limit: int) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the same of a server whose memory is full: that takes no transaction, not even one that only reads."""
        if not self._client.exists(self.name):
            return None, []
        facts, entries = self._client.eval(_PAGE, 1, self.name, f"({after}", limit)
        return (
            {key.decode(): value for key, value in _pairs(facts)},
            [(entry_id, dict(_pairs(fields))) for entry_id, fields in entries],
        )

    @property
    def _server(self) -> str:
        known = self._client.connection_pool.connection_kwargs
        place = known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}"
        return f"{place}/{known.get('db') or 0}"

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        import redis

        try:
            yield
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise ConfigurationError(
                f"Redis at {self._server} refuses to show {self.name!r}: {error}; "
                "give the URL a user that may run XINFO and XRANGE"
            ) from error
        except redis.RedisError as error:
            if str(error).startswith("WRONGTYPE"):
                raise ConfigurationError(
                    f"{self.name!r} in Redis at {self._server} is no stream: {error}"
                ) from error
            raise SourceUnavailable(
                f"Redis at {self._server} cannot be asked for {self.name!r}: {error}; "
                "what was read is in, try again when it answers"
            ) from error


def _pairs(flat: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _is_absent(facts: Any) -> bool:  # noqa: ANN401 - an answer of Redis, or its error
    return isinstance(facts, Exception) and "no such key" in str(facts)
