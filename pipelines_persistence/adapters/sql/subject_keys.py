"""The `SubjectKeys` port on SQLAlchemy Core: keys beside the events, wrapped by a master key that is not."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines_persistence.adapters.aes import KEY_BYTES, MasterKeys
from pipelines_persistence.adapters.sql.event_schema import subject_keys
from pipelines_persistence.adapters.sql.event_transactions import Sleep, UnitOfWork
from pipelines_persistence.errors import DatabaseUnavailable
from pipelines_persistence.events.personal import SubjectKey

_PAGE = 500
_RACES = 8

_columns = subject_keys.c

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class SqlSubjectKeys:
    """See `SubjectKeys`. Safe to share between threads."""

    def __init__(
        self,
        engine: sa.Engine,
        master: MasterKeys,
        *,
        now: Callable[[], datetime] = _now,
        sleep: Sleep = time.sleep,
        within: UnitOfWork | None = None,
    ) -> None:
        """Take the engine, whose owner closes it.

        Args:
            engine: of an up-to-date database.
            master: wraps the keys; without one, keys can only be forgotten.
            now: tells the time, aware.
            sleep: waits between two attempts, in seconds.
            within: a transaction that is open, to make and find keys in; by default each call has its own.
        """
        self._engine = engine
        self._work = within or UnitOfWork(engine, sleep)
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._master = master
        self._now = now

    def obtain(self, subjects: Collection[str]) -> dict[str, SubjectKey]:
        """See `SubjectKeys`."""
        pages = map(self._obtain, _paged(subjects))
        return {subject: key for page in pages for subject, key in page.items()}

    def find(self, ids: Collection[str]) -> dict[str, SubjectKey]:
        """See `SubjectKeys`."""
        rows = (row for page in _paged(ids) for row in self._rows(_columns.id.in_(page)))
        return {row.id: self._key(row) for row in rows}

    def forget(self, subject: str) -> bool:
        """See `SubjectKeys`.

        On SQLite the wrapped key is overwritten in the file and in its log. PostgreSQL drops it when the table is
        vacuumed; backups keep it.

        Raises:
            DatabaseUnavailable: the key is deleted, but someone who reads keeps its bytes in SQLite's log.
        """
        deletion = subject_keys.delete().where(_columns.subject == subject)
        existed = self._write(lambda connection: connection.execute(deletion).rowcount > 0)
        if self._is_sqlite:
            self._truncate_log()
        return bool(existed)

    def rewrap(self) -> int:
        """Wrap with the first master key what an older one wraps, so that the older ones can be dropped.

        Returns:
            How many keys were wrapped anew.

        Raises:
            ConfigurationError: a key cannot be unwrapped.
        """
        done, last = 0, ""
        while rows := self._rows(_columns.subject > last, _PAGE):
            updates = [update for row in rows if (update := self._rewrapped(row)) is not None]
            self._write(partial(_run, statements=updates))
            done, last = done + len(updates), rows[-1].subject
        return done

    def _obtain(self, subjects: Sequence[str]) -> dict[str, SubjectKey]:
        wanted = _columns.subject.in_(subjects)
        rows = self._rows(wanted)
        for attempt in range(_RACES):
            known = {row.subject: row for row in rows}
            if len(known) == len(subjects):
                return {subject: self._key(row) for subject, row in known.items()}
            if attempt:
                self._work.pause(attempt)  # one of them was forgotten as soon as it had been made
            new = [self._new(subject) for subject in subjects if subject not in known]
            rows = self._write(partial(self._insert, new=new, wanted=wanted))
        raise DatabaseUnavailable(
            f"{_RACES} times another process forgot a subject whose key was being made: try again later"
        )

    def _insert(
        self, connection: sa.Connection, new: Sequence[dict[str, Any]], wanted: sa.ColumnElement[bool]
    ) -> Sequence[sa.Row[Any]]:
        # A key that is wrapped by the wrong master key would lock out everyone who has the right one.
        if standing := connection.execute(sa.select(subject_keys).limit(1)).first():
            self._master.unwrap(standing.secret, _context(standing.id, standing.subject))
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        # Of two who make a key for one subject, the second finds the first one's.
        connection.execute(insert(subject_keys).on_conflict_do_nothing(index_elements=["subject"]), new)
        return connection.execute(_select(wanted)).all()

    def _new(self, subject: str) -> dict[str, Any]:
        key_id = str(uuid4())
        secret = self._master.wrap(os.urandom(KEY_BYTES), _context(key_id, subject))
        return {"id": key_id, "subject": subject, "secret": secret, "created_at": self._now()}

    def _key(self, row: sa.Row[Any]) -> SubjectKey:
        return SubjectKey(row.id, self._master.unwrap(row.secret, _context(row.id, row.subject)))

    def _rewrapped(self, row: sa.Row[Any]) -> sa.Update | None:
        context = _context(row.id, row.subject)
        if self._master.is_current(row.secret, context):
            return None
        secret = self._master.wrap(self._master.unwrap(row.secret, context), context)
        return subject_keys.update().where(_columns.id == row.id).values(secret=secret)

    def _rows(self, wanted: sa.ColumnElement[bool], limit: int | None = None) -> Sequence[sa.Row[Any]]:
        query = _select(wanted).limit(limit)
        return self._work.read(lambda connection: connection.execute(query).all())

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        def overwriting(connection: sa.Connection) -> T:
            if self._is_sqlite:
                # Or else what is deleted, or moved within the file, can still be found there.
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            return work(connection)

        return self._work.write(overwriting)

    def _truncate_log(self) -> None:
        with self._work.errors(), closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            [(is_busy, *_)] = cursor.fetchall()
        if is_busy:
            raise DatabaseUnavailable(
                "the key is deleted, but someone reads the database, so its bytes are still in SQLite's log: "
                "forget the subject again later"
            )


def _run(connection: sa.Connection, statements: Sequence[sa.Update]) -> None:
    for statement in statements:
        connection.execute(statement)


def _select(wanted: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(_columns.id, _columns.subject, _columns.secret).where(wanted).order_by(_columns.subject)


def _paged(values: Collection[str]) -> Iterator[list[str]]:
    # In one order for all writers, so that two of them seldom wait for each other.
    remaining = iter(sorted(values))
    while page := list(islice(remaining, _PAGE)):
        yield page


def _context(key_id: str, subject: str) -> bytes:
    return f"{key_id} {subject}".encode()
