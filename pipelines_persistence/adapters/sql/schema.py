"""The tables, as SQLAlchemy Core sees them; `migrations/` makes them."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment in UTC; naive values are refused, whatever the database can store."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - the base class's signature
        """Convert to UTC on the way in."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was given: use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ANN401, ARG002 - as above
        """Return it aware: SQLite forgets the zone."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


metadata = sa.MetaData()

_big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

generations = sa.Table(
    "generations",
    metadata,
    sa.Column("id", _big_id, primary_key=True),
    sa.Column("index_name", sa.String(63), nullable=False, index=True),
    sa.Column("collection", sa.String(100), nullable=False, unique=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("configuration", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("promoted_at", UtcDateTime),
    sqlite_autoincrement=True,  # a number is never used twice: collections are named after it
)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("id", _big_id, primary_key=True),
    sa.Column("generation_id", _big_id, sa.ForeignKey("generations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("source", sa.String(63), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("content_hash", sa.String(64)),
    sa.Column("signature", sa.Text),
    sa.Column("metadata_hash", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("generation_id", "source", "path"),
)

chunks = sa.Table(
    "chunks",
    metadata,
    sa.Column("document_id", _big_id, sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("point_id", sa.String(36), primary_key=True),
    sa.Column("text_hash", sa.String(64), nullable=False),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False),
    sa.Column("is_live", sa.Boolean, nullable=False),
    sqlite_with_rowid=False,  # a document's chunks lie together, and are found without a second look-up
)

embeddings = sa.Table(
    "embeddings",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("text_hash", sa.String(64), primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", _big_id, primary_key=True),
    sa.Column("index_name", sa.String(63), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("report", sa.Text, nullable=False),
)
