"""Hears of what others change, with Redis' own means: client-side caching in broadcast mode.

Source: https://redis.io/docs/latest/develop/reference/client-side-caching/, "Redirect" (RESP2), BCAST and NOLOOP.

Two connections live and die together. One listens. The other carries all writes of this process, and is the one that the
server tracks: so it knows which writes are our own, and does not tell us of them. (Of what a script writes it would.)
As long as both are well nothing is missed; when one is not, neither is used, the shared level counts as down, and when
both are back the listener is told that anything may have changed.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pipelines_persistence.adapters.caching.resp import Command
from pipelines_persistence.adapters.caching.wire import Wire
from pipelines_persistence.caching.ports import Listener
from pipelines_persistence.caching.records import new_stamp
from pipelines_persistence.errors import CacheUnavailable, PipelinesError

if TYPE_CHECKING:
    import redis

LOGGER = logging.getLogger("pipelines.cache")
_CHANGES = "__redis__:invalidate"
_LONGEST_WAIT = 2.0  # seconds between two attempts to connect


class Link:
    """Keeps the two connections, from a thread of its own. `up` is when they are well."""

    def __init__(
        self,
        pool: "redis.ConnectionPool",
        place: str,
        prefix: str,
        *,
        timeout: float,
        prepare: Callable[[], None],
        beat: Callable[[Wire], None],
        heartbeat: float,
    ) -> None:
        """Take what connections are made of.

        Args:
            pool: makes connections.
            place: for messages, without password.
            prefix: of all keys.
            timeout: seconds that an attempt to connect may take.
            prepare: called before each attempt, such as to start the server; raises our errors.
            beat: called while all is well, with what carries the writes.
            heartbeat: seconds between two of these calls.
        """
        self.writer: Wire | None = None
        self._pool = pool
        self._place = place
        self._prefix = prefix
        self._timeout = timeout
        self._prepare = prepare
        self._beat = beat
        self._heartbeat = heartbeat
        self._me = new_stamp()
        self._listener: Listener | None = None
        self._reader: Wire | None = None
        self._tried = threading.Event()
        self._closed = threading.Event()
        self._was_told = False
        self.trouble = ""
        """Why there is no writer; "" if there is one."""
        self._thread = threading.Thread(target=self._run, name="cache-link", daemon=True)

    def open(self, listener: Listener) -> None:
        """Start, and wait for the first attempt."""
        self._listener = listener
        self._thread.start()
        self._tried.wait(
            4 * self._timeout + 5.0
        )  # an attempt ends by itself; loading a driver takes its time

    def close(self) -> None:
        """Stop the thread and hang up."""
        self._closed.set()
        self.hang_up()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(4 * self._timeout + 5.0)

    def hang_up(self) -> None:
        """Give up both connections: something is wrong with one of them."""
        self.writer, writer = None, self.writer
        for wire in (writer, self._reader):
            if wire is not None:
                wire.close()

    def announcement(self, kind: str, name: str) -> Command:
        """Return the command that tells all others of what the server may not: the removal of what was not there."""
        return ("PUBLISH", f"{self._prefix}dropped", f"{self._me}{kind}{name}")

    def _run(self) -> None:
        wait = 0.05
        while not self._closed.is_set():
            try:
                self._connect()
                wait = 0.05
                self._listen()
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever goes wrong; it is told
                self._tell(error)
            self.hang_up()
            self._tried.set()
            self._closed.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _connect(self) -> None:
        self._prepare()
        reader = self._reader = Wire(self._pool)
        [number] = reader.run([("CLIENT", "ID")])
        channels = (_CHANGES, f"{self._prefix}dropped")
        reader.send("SUBSCRIBE", *channels)
        for _ in channels:
            reader.read(self._timeout)
        writer = Wire(self._pool)
        prefixes = [part for kind in "vt" for part in ("PREFIX", f"{self._prefix}{kind}:")]
        writer.run([("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", *prefixes, "NOLOOP")])
        if self._listener is not None:
            self._listener.unknown()
        self.writer = writer
        self._tried.set()
        self.trouble = ""
        if self._was_told:
            LOGGER.info("the shared cache at %s is back", self._place)
        self._was_told = False

    def _listen(self) -> None:
        reader, is_asked = self._reader, False
        heard = beaten = time.monotonic()
        while not self._closed.is_set() and self.writer is not None and reader is not None:
            message = reader.read(self._heartbeat)
            now = time.monotonic()
            if message is not None:
                heard, is_asked = now, False
                self._understand(message)
            elif not is_asked:
                reader.send("PING")
                is_asked = True
            elif now - heard > 2 * self._heartbeat + self._timeout:
                raise CacheUnavailable(f"the shared cache at {self._place} has fallen silent")
            if now - beaten >= self._heartbeat and self.writer is not None:
                beaten = now
                self._beat(self.writer)

    def _understand(self, message: list[Any]) -> None:
        if message[0] != b"message" or self._listener is None:
            return
        if message[1] == _CHANGES.encode():
            self._changed(message[2])
        else:
            sender, name = message[2][: len(self._me)], message[2][len(self._me) :]
            if sender != self._me.encode():
                self._tell_listener([name])

    def _changed(self, names: Sequence[bytes] | None) -> None:
        if self._listener is None:
            return
        if names is None:  # the database was emptied
            self._listener.unknown()
        else:
            self._tell_listener([name[len(self._prefix.encode()) :] for name in names])

    def _tell_listener(self, names: Sequence[bytes]) -> None:
        # Others may write names that are no text: none of ours is meant then.
        keys = [name[2:].decode(errors="replace") for name in names if name.startswith(b"v:")]
        tags = [name[2:].decode(errors="replace") for name in names if name.startswith(b"t:")]
        if self._listener is not None:
            self._listener.changed(keys, tags)

    def _tell(self, error: Exception) -> None:
        self.trouble = str(error) if isinstance(error, PipelinesError) else f"{type(error).__name__}: {error}"
        if self._was_told or self._closed.is_set():
            return
        self._was_told = True
        LOGGER.warning(
            "the shared cache at %s is not to be had (%s): each process caches for itself until it is back; "
            "see that it runs and may be reached",
            self._place,
            self.trouble,
        )
