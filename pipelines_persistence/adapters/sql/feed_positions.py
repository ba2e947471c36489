"""The `FeedPositions` port in the database of the events."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines_persistence.adapters.sql.event_schema import event_feeds
from pipelines_persistence.adapters.sql.event_transactions import UnitOfWork

# The two dialects spell the same words, and share no class that says so.
_INSERTS: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def _now() -> datetime:
    return datetime.now(UTC)


class SqlFeedPositions:
    """See `FeedPositions`. Safe to share between threads and processes; the last one to put wins."""

    def __init__(self, engine: sa.Engine, now: Callable[[], datetime] = _now) -> None:
        """Take the engine of an up-to-date database, which its owner closes; `now` tells the time, aware."""
        self._work = UnitOfWork(engine)
        self._insert = _INSERTS[engine.dialect.name]
        self._now = now

    def get(self, feed: str) -> str | None:
        """See `FeedPositions`."""
        query = sa.select(event_feeds.c.position).where(event_feeds.c.feed == feed)
        return self._work.read(lambda connection: connection.execute(query).scalar())

    def put(self, feed: str, position: str) -> None:
        """See `FeedPositions`."""
        values = {"position": position, "updated_at": self._now()}
        insert = self._insert(event_feeds).values(feed=feed, **values)
        upsert = insert.on_conflict_do_update(index_elements=[event_feeds.c.feed], set_=values)
        self._work.write(lambda connection: connection.execute(upsert))

    def beginning(self, prefix: str) -> Mapping[str, str]:
        """See `FeedPositions`."""
        feed = event_feeds.c.feed
        query = sa.select(feed, event_feeds.c.position).where(sa.func.substr(feed, 1, len(prefix)) == prefix)
        rows = self._work.read(lambda connection: connection.execute(query).all())
        return {row.feed: row.position for row in rows}
