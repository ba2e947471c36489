"""The tables of the event store, one schema for SQLite and PostgreSQL; `migrations/` makes them."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from pipelines_persistence.adapters.sql.schema import metadata

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = 2**52
"""Up to so many microseconds from 1970, to the year 2112, `fromtimestamp` is exact, and quicker than a sum."""

_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Return an aware moment as microseconds since 1970 in UTC."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return microseconds since 1970 as an aware moment in UTC."""
    return EPOCH + timedelta(microseconds=micros)


class UtcMicros(sa.TypeDecorator[datetime]):
    """A moment as an integer: exact, ordered, and in no session's time zone.

    For a person: `to_timestamp(recorded_at / 1e6)`, or `datetime(recorded_at / 1e6, 'unixepoch')` on SQLite.
    """

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002 - the base class's signature
        """Refuse a naive moment on the way in."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a naive datetime was given: use datetime.now(UTC)")
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - as above
        """Return it aware."""
        return None if value is None else from_micros(value)


big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# The order of bytes: the same on every server, whatever its locale, and faster.
name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
uuid = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

events = sa.Table(
    "events",
    metadata,
    sa.Column("position", big_id, primary_key=True),
    # The transaction's xid8 as a plain number: sequence order is not commit order, (epoch, transaction) is a safe one.
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("transaction_id", sa.BigInteger, nullable=False),
    sa.Column("stream", name, nullable=False),
    sa.Column("category", name, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("id", uuid, nullable=False, unique=True),
    sa.Column("type", name, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("occurred_at", UtcMicros, nullable=False),
    sa.Column("recorded_at", UtcMicros, nullable=False),
    sa.Column("correlation_id", sa.Text),
    sa.Column("causation_id", sa.Text),
    sa.Column("actor", sa.Text),
    sa.UniqueConstraint("stream", "version"),
    sqlite_autoincrement=True,  # a position is never used twice, even when the last stream is tombstoned
)

event_epochs = sa.Table(
    "event_epochs",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("identity", sa.Text, nullable=False, unique=True),
    sa.Column("started_at", UtcMicros, nullable=False),
)

# SQLite's writers take turns, so that there the position alone is the order: the index stays empty and costs nothing.
log_order = sa.Index(
    "ix_events_log",
    events.c.epoch,
    events.c.transaction_id,
    events.c.position,
    sqlite_where=sa.text("epoch < 0"),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("stream", name, primary_key=True),
    sa.Column("aggregate_type", name, primary_key=True),
    sa.Column("schema_version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    # Of the event at that version: as-of loading may only begin from what was known then.
    sa.Column("cursor", sa.Text, nullable=False),
    sa.Column("recorded_at", UtcMicros, nullable=False),
    sa.Column("taken_at", UtcMicros, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)

subject_keys = sa.Table(
    "subject_keys",
    metadata,
    sa.Column("id", uuid, primary_key=True),
    sa.Column("subject", name, nullable=False, unique=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcMicros, nullable=False),
)

event_feeds = sa.Table(
    "event_feeds",
    metadata,
    sa.Column("feed", name, primary_key=True),
    sa.Column("position", sa.Text, nullable=False),
    sa.Column("updated_at", UtcMicros, nullable=False),
)
