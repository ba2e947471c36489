"""The shared level in Redis (from 6.2) or Valkey: see docs/caching.md for its keys."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.caching import stored
from pipelines_persistence.adapters.caching.link import Link
from pipelines_persistence.adapters.caching.resp import Command, packed
from pipelines_persistence.adapters.caching.wire import Wire, Wires
from pipelines_persistence.caching.ports import Listener
from pipelines_persistence.caching.records import Fetched, Lease, Shared, is_older, is_outdated, new_stamp
from pipelines_persistence.errors import CacheUnavailable, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

_TAG_SECONDS = 30 * 86_400
"""How long a stamp of a tag is kept; when it goes, the entries with that tag are loaded again."""
_TRACE_SECONDS = 7 * 86_400
_COUNTS_SECONDS = 30 * 86_400
"""How long counts are kept after a process has last told its own."""
_CONNECTIONS = 64
"""That read at once; as many threads more wait for one of them."""
_ATTEMPTS = 50
"""How often a write is tried again because another process wrote the same key; each time that one got on."""

_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

_MISFITS = ("WRONGTYPE", "ERR hash value is not an integer")
"""Refusals of commands that do not fit what stands under a name."""


class _Foreign(CacheUnavailable):
    """Under a name of ours stood what we never put there; it was removed."""


def _nothing() -> None:
    """Prepare nothing."""


class RedisLevel:
    """See `SharedLevel`. One server, or a primary with replicas behind one address; not a cluster."""

    def __init__(
        self,
        url: str,
        *,
        name: str = "redis",
        prefix: str = "pipelines:",
        timeout: float = 0.25,
        lease: float = 5.0,
        prepare: Callable[[], None] = _nothing,
    ) -> None:
        """Take the place of the server; nothing is asked of it yet.

        Args:
            url: `redis://:password@host:6379/0`, `rediss://…` or `unix://…`.
            name: of the kind.
            prefix: of all keys.
            timeout: seconds to connect, and for each answer; after that the server counts as down.
            lease: seconds after which a lease ends whose holder has died.
            prepare: called before each attempt to connect.

        Raises:
            ConfigurationError: the URL cannot be read.
        """
        self.name = name
        self._prefix = prefix
        self._lease = lease
        self._pool = _pool(url, timeout)
        self._place = _place(self._pool)
        self._wires = Wires(lambda: Wire(self._pool), most=_CONNECTIONS, patience=timeout)
        self._process = os.getpid()
        self._prepare = prepare
        self._held: dict[str, str] = {}
        self._lock = threading.Lock()
        self._link = Link(
            self._pool,
            self._place,
            prefix,
            timeout=timeout,
            prepare=self._begin_anew,
            beat=self._beat,
            heartbeat=min(1.0, lease / 3),
        )

    @property
    def available(self) -> bool:
        """See `SharedLevel`."""
        return self._link.writer is not None and self._process == os.getpid()  # a fork shares its connections

    @property
    def trouble(self) -> str:
        """See `SharedLevel`."""
        return self._link.trouble

    def open(self, listener: Listener) -> None:
        """See `SharedLevel`."""
        self._link.open(listener)

    def fetch(self, key: str, tags: Sequence[str]) -> Fetched:
        """See `SharedLevel`."""
        asked = stored.question(self._value(key), [*map(self._tag, tags)])
        with self._asking(self._value(key)):
            found = stored.Found(self._wires.exchange(asked, stored.ANSWERS)[-1], tags)
            others = found.unknown()
            if others:
                asked = packed([("MGET", *map(self._tag, others))])
                [stamps] = self._wires.exchange(asked, 1)
                found.learn(dict(zip(others, stamps, strict=True)))
        return found.result()

    def lease(self, key: str, tags: Sequence[str], token: str, seen: str) -> Lease:
        """See `SharedLevel`."""
        lock, milliseconds = self._lock_of(key), int(self._lease * 1000)
        commands: list[Command] = [
            ("MULTI",),
            ("HGET", self._value(key), "x"),
            ("SET", lock, token, "NX", "PX", milliseconds),
            ("GET", lock),  # refused where something else stands there, which would never end
            *self._stamping(tags),
            ("MGET", *map(self._tag, tags)),
            ("EXEC",),
        ]
        with self._asking(self._value(key), lock):
            answer = self._writer().run(commands)[-1]
        is_same, is_mine = stored.text(answer[0]) == seen, answer[1] is not None
        if is_mine:
            with self._lock:
                self._held[key] = token
        stamps = self._stamps(tags, answer[-1])
        is_usable = is_same and all(stamps.values())
        if is_mine and not is_usable:
            self.release(key, token)
        return Lease(is_mine and is_usable, not is_mine, token, stamps)

    def release(self, key: str, token: str) -> None:
        """See `SharedLevel`."""
        self._let_go(key)
        with self._asking(self._lock_of(key)):
            self._writer().run([("EVAL", _RELEASE, 1, self._lock_of(key), token)])

    def store(self, key: str, value: Shared, lease: Lease | None) -> bool:
        """See `SharedLevel`."""
        self._let_go(key)
        try:
            return self._store(key, value, lease)
        except _Foreign:
            return self._store(key, value, lease)

    def drop(self, key: str, version: int | None) -> None:
        """See `SharedLevel`."""
        self._let_go(key)
        value, lock = self._value(key), self._lock_of(key)
        told = self._link.announcement("v:", key)
        with self._asking(value, lock):
            if version is None:
                # Both commands work on a server whose memory is full.
                self._writer().run([("DEL", value, lock), told])
                return
            for _ in range(_ATTEMPTS):
                writer = self._writer()
                with _watching(writer):
                    if self._try_to_drop(writer, key, version):
                        return
        raise CacheUnavailable(f"{_ATTEMPTS} others wrote the same key of the shared cache; try again")

    def drop_tags(self, tags: Sequence[str]) -> None:
        """See `SharedLevel`. A tag without a stamp has another one the next time, which no entry of before has."""
        told = [self._link.announcement("t:", tag) for tag in tags]
        with self._asking():
            self._writer().run([("DEL", *map(self._tag, tags)), *told])

    def tally(self, counts: Mapping[str, int]) -> dict[str, int]:
        """See `SharedLevel`."""
        name = f"{self._prefix}counts"
        adding: list[Command] = [("HINCRBY", name, key, count) for key, count in counts.items()]
        telling = [*adding, ("EXPIRE", name, _COUNTS_SECONDS), ("HGETALL", name)]
        with self._asking(name):
            found = self._writer().run([("MULTI",), *telling, ("EXEC",)])[-1][-1]
        known = {
            stored.text(key): stored.number(count) for key, count in zip(found[::2], found[1::2], strict=True)
        }
        return {key: count for key, count in known.items() if count is not None}

    def close(self) -> None:
        """See `SharedLevel`."""
        self._link.close()
        self._wires.clear()

    # Within

    def _store(self, key: str, value: Shared, lease: Lease | None) -> bool:
        with self._asking(self._value(key), self._lock_of(key)):
            for _ in range(_ATTEMPTS):
                writer = self._writer()
                with _watching(writer):
                    taken = self._try_to_store(writer, key, value, lease)
                if taken is not None:
                    return taken
        raise CacheUnavailable(f"{_ATTEMPTS} others wrote the same key of the shared cache; try again")

    def _try_to_store(self, writer: Wire, key: str, value: Shared, lease: Lease | None) -> bool | None:
        """Return whether it was taken; None if another process came between."""
        name, lock = self._value(key), self._lock_of(key)
        tags = [self._tag(tag) for tag in value.tags]
        stamping = () if lease else self._stamping(value.tags)
        asked = [*stamping, ("WATCH", name, lock, *tags), ("HGET", name, "v"), ("GET", lock), ("MGET", *tags)]
        current, holder, found = writer.run(asked)[-3:]
        stamps = self._stamps(value.tags, found)
        if lease is None and not all(stamps.values()):
            return None
        is_lost = lease is not None and (holder != lease.token.encode() or stamps != lease.stamps)
        if is_lost or is_outdated(value.version, stored.number(current)):
            writer.run([("UNWATCH",)])
            return False
        written = [
            ("HSET", name, *stored.fields(value, stamps)),
            ("PEXPIRE", name, stored.milliseconds(value)),
            ("DEL", lock),
        ]
        return True if writer.run([("MULTI",), *written, ("EXEC",)])[-1] is not None else None

    def _try_to_drop(self, writer: Wire, key: str, version: int) -> bool:
        """Return whether nothing older is left; False if another process came between."""
        value, lock = self._value(key), self._lock_of(key)
        _, current = writer.run([("WATCH", value), ("HGET", value, "v")])
        if not is_older(stored.number(current), version):
            writer.run([("UNWATCH",), ("DEL", lock)])
            return True
        trace: list[Command] = [
            ("DEL", value, lock),
            ("HSET", value, "x", new_stamp(), "v", version),
            ("EXPIRE", value, _TRACE_SECONDS),
            self._link.announcement("v:", key),
        ]
        return writer.run([("MULTI",), *trace, ("EXEC",)])[-1] is not None

    def _stamping(self, tags: Sequence[str]) -> list[Command]:
        return [("SET", self._tag(tag), new_stamp(), "NX", "EX", _TAG_SECONDS) for tag in tags]

    def _stamps(self, tags: Sequence[str], found: Sequence[bytes | None]) -> dict[str, str]:
        """Return the stamps of tags by what was found after they were given some: one without has something else there."""
        stamps = {tag: stored.text(stamp) for tag, stamp in zip(tags, found, strict=True)}
        if foreign := [self._tag(tag) for tag, stamp in stamps.items() if not stamp]:
            self._writer().run([("DEL", *foreign)])
        return stamps

    def _begin_anew(self) -> None:
        """Read through the server that is listened to: an address may lead to another one by now."""
        self._wires.clear()
        self._prepare()

    def _beat(self, writer: Wire) -> None:
        """Renew the leases of those who still load, and see that the writer lives: the server tracks it."""
        with self._lock:
            held = [*self._held.items()]
        renewals = [
            ("EVAL", _RENEW, 1, self._lock_of(key), token, int(self._lease * 1000)) for key, token in held
        ]
        writer.run([("PING",), *renewals])

    def _let_go(self, key: str) -> None:
        with self._lock:
            self._held.pop(key, None)

    def _writer(self) -> Wire:
        writer = self._link.writer
        if writer is None:
            raise CacheUnavailable(f"the shared cache at {self._place} is down; it is asked again by itself")
        return writer

    @contextmanager
    def _asking(self, *names: str) -> "Iterator[None]":
        """Turn the errors of the driver into ours; after all but a refusal of the server, both connections are made anew.

        Args:
            names: what is removed where the server says that something of another kind stands there.
        """
        import redis

        try:
            yield
        except (redis.RedisError, OSError) as error:
            if not isinstance(error, redis.ResponseError):
                self._link.hang_up()
            elif names and str(error).startswith(_MISFITS):
                self._remove(names)
                raise _Foreign(
                    f"{' or '.join(names)} in the shared cache at {self._place} held what the platform never puts there, and "
                    f"was removed ({error}): see who else writes below this prefix"
                ) from error
            raise CacheUnavailable(
                f"the shared cache at {self._place} does not answer: {error}; nothing is lost, values are loaded again"
            ) from error

    def _remove(self, names: Sequence[str]) -> None:
        import redis

        with suppress(redis.RedisError, OSError, CacheUnavailable):  # it will be met again
            self._writer().run([("DEL", *names)])

    def _value(self, key: str) -> str:
        return f"{self._prefix}v:{key}"

    def _tag(self, tag: str) -> str:
        return f"{self._prefix}t:{tag}"

    def _lock_of(self, key: str) -> str:
        return f"{self._prefix}l:{key}"


@contextmanager
def _watching(writer: Wire) -> "Iterator[None]":
    """Keep the wire to this thread while it watches keys, and watch none when it is done."""
    with writer.exclusive:
        try:
            yield
        except BaseException:
            with suppress(Exception):  # what is wrong with the wire is being raised
                writer.run([("UNWATCH",)])
            raise


def _pool(url: str, timeout: float) -> "redis.ConnectionPool":
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        return redis.ConnectionPool.from_url(
            url,
            protocol=2,  # so that Redis 6.2 and Valkey do, too
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),  # nobody waits twice
        )
    except ValueError:
        # Without the cause, which quotes pieces of the URL.
        raise ConfigurationError(
            "the URL of the shared cache cannot be read: use redis://:password@host:6379/0, with special "
            "characters percent-encoded"
        ) from None


def _place(pool: "redis.ConnectionPool") -> str:
    known = pool.connection_kwargs
    return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")
