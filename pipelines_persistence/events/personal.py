"""Personal data in events: sealed with a key for each person, and unreadable once that key is deleted.

Only what a rule names is sealed. Stream ids, correlation ids and actors stay readable, so they should name nobody, and the
length of a sealed value can be told. What was read stands elsewhere in plain text: see `forget_subject`.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

import msgspec

from pipelines_persistence.events.appending import Append, Appended, Expected, Imported
from pipelines_persistence.events.ports import Batch, Clock, EventStore, FenceLag
from pipelines_persistence.events.records import START, Cursor, NewEvent, Partition, StoredEvent
from pipelines_persistence.events.sealing import PersonalData, Sealer
from pipelines_persistence.events.subject_keys import (
    CACHE_SECONDS,
    CachedKeys,
    Cipher,
    SubjectKey,
    SubjectKeys,
)

__all__ = [
    "CACHE_SECONDS",
    "CachedKeys",
    "Cipher",
    "PersonalData",
    "PersonalDataStore",
    "SubjectKey",
    "SubjectKeys",
    "forget_subject",
]

_CHUNK = 100  # events read ahead: their keys are looked up together
_PAIRS = 1000  # events of an import whose keys are made together


class PersonalDataStore:
    """An `EventStore` that seals personal data on its way into another one, and reveals it on its way out.

    A field whose subject was forgotten reads as null, so that a typed event declares it as `T | None`. Everything else
    in an event's data keeps its exact bytes, and events whose type has no rule are not looked into.

    Besides what `EventStore` says, writing raises `EventRefused` for personal data without a subject, or with a member
    named "$sealed"; reading raises `PersonalDataDamaged`; both raise `ConfigurationError` without the master key.
    """

    def __init__(
        self, store: EventStore, rules: Mapping[str, PersonalData], keys: SubjectKeys, cipher: Cipher
    ) -> None:
        """Wrap a store.

        Args:
            store: keeps the events; `close` closes it.
            rules: by event type.
            keys: of the subjects; a `CachedKeys`, or else every read asks the database.
            cipher: encrypts.
        """
        self._store = store
        self._sealer = Sealer(rules, keys, cipher)

    def append(self, stream: str, events: Sequence[NewEvent], expected: int | Expected) -> Appended:
        """See `EventStore`."""
        return self._store.append(stream, self._sealer.seal(events), expected)

    def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See `EventStore`."""
        return self._store.append_many(
            [msgspec.structs.replace(append, events=self._sealer.seal(append.events)) for append in appends]
        )

    def check(self, event: NewEvent) -> None:
        """See `EventStore`."""
        self._store.check(event)
        self._sealer.check(event)

    def import_events(self, events: Iterable[tuple[str, NewEvent]]) -> Imported:
        """See `EventStore`."""
        return self._store.import_events(self._sealed(iter(events)))

    def tombstone(
        self, stream: str, expected: int | Expected = Expected.STREAM_EXISTS, *, actor: str | None = None
    ) -> Appended:
        """See `EventStore`."""
        return self._store.tombstone(stream, expected, actor=actor)

    def archive(
        self, stream: str, expected: int | Expected = Expected.STREAM_EXISTS, *, actor: str | None = None
    ) -> Appended:
        """See `EventStore`."""
        return self._store.archive(stream, expected, actor=actor)

    def read(
        self,
        stream: str,
        from_version: int = 1,
        to_version: int | None = None,
        *,
        as_of: datetime | Cursor | None = None,
        clock: Clock = Clock.RECORDED,
        backwards: bool = False,
    ) -> Iterator[StoredEvent]:
        """See `EventStore`."""
        events = self._store.read(
            stream, from_version, to_version, as_of=as_of, clock=clock, backwards=backwards
        )
        return self._revealed(events)

    def read_all(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        backwards: bool = False,
    ) -> Iterator[StoredEvent]:
        """See `EventStore`."""
        events = self._store.read_all(
            after, until=until, types=types, categories=categories, backwards=backwards
        )
        return self._revealed(events)

    def batches(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        partition: Partition | None = None,
        limit: int = 1000,
    ) -> Iterator[Batch]:
        """See `EventStore`."""
        batches = self._store.batches(
            after, until=until, types=types, categories=categories, partition=partition, limit=limit
        )
        return map(self._revealed_batch, batches)

    def count(
        self,
        after: Cursor = START,
        *,
        until: Cursor | None = None,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        most: int = 100_000,
    ) -> int:
        """See `EventStore`."""
        return self._store.count(after, until=until, types=types, categories=categories, most=most)

    def subscribe(
        self,
        after: Cursor = START,
        *,
        stop: threading.Event,
        types: Collection[str] = (),
        categories: Collection[str] = (),
        partition: Partition | None = None,
        limit: int = 1000,
        poll: float = 1.0,
    ) -> Iterator[Batch]:
        """See `EventStore`."""
        batches = self._store.subscribe(
            after,
            stop=stop,
            types=types,
            categories=categories,
            partition=partition,
            limit=limit,
            poll=poll,
        )
        return map(self._revealed_batch, batches)

    def version(self, stream: str) -> int:
        """See `EventStore`."""
        return self._store.version(stream)

    def head(self) -> Cursor:
        """See `EventStore`."""
        return self._store.head()

    def fence_lag(self) -> FenceLag:
        """See `EventStore`."""
        return self._store.fence_lag()

    def close(self) -> None:
        """See `EventStore`."""
        self._store.close()

    def _sealed(self, pairs: Iterator[tuple[str, NewEvent]]) -> Iterator[tuple[str, NewEvent]]:
        while chunk := list(islice(pairs, _PAIRS)):
            streams, events = zip(*chunk, strict=True)
            yield from zip(streams, self._sealer.seal(events), strict=True)

    def _revealed(self, events: Iterator[StoredEvent]) -> Iterator[StoredEvent]:
        while chunk := list(islice(events, _CHUNK)):
            yield from self._sealer.reveal(chunk)

    def _revealed_batch(self, batch: Batch) -> Batch:
        revealed = self._sealer.reveal(batch.events)
        return batch if revealed is batch.events else Batch(list(revealed), batch.cursor)


def forget_subject(
    subject: str,
    keys: SubjectKeys,
    delete_snapshots: Callable[[], object],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Make a subject's personal data unreadable: delete the key, and what was kept of it elsewhere.

    It returns when no process can read the data any more, about `CACHE_SECONDS` later. Then all projections that take
    personal fields have to be rebuilt: their read models and dead letters hold what they have read. So do exports, and
    backups of the database, which hold the key too: after a restore, forget again. To repeat the call is safe.

    Args:
        subject: as the events name it.
        keys: keeps the key.
        delete_snapshots: deletes all snapshots, such as `SnapshotStore.delete_all`; they are only a cache.
        sleep: waits, in seconds.

    Returns:
        Whether there was a key; without one there is nothing left to read, or there never was.

    Raises:
        DatabaseUnavailable: not all of it is done: repeat the call.
    """
    existed = keys.forget(subject)
    # Another process may reveal, and so save a snapshot, as long as it remembers the key.
    sleep(CACHE_SECONDS)
    delete_snapshots()
    return existed
