"""The tables that say how far each projection is; the read models themselves are made and dropped by their builds."""

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.event_schema import UtcMicros, big_id, name, uuid
from pipelines_persistence.adapters.sql.schema import metadata

builds = sa.Table(
    "projection_builds",
    metadata,
    sa.Column("id", big_id, primary_key=True),
    sa.Column("projection", name, nullable=False),
    # What decides the rows: the declared version and the configuration.
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("partitions", sa.Integer, nullable=False),
    sa.Column("as_of", sa.Text, nullable=False),
    sa.Column("created_at", UtcMicros, nullable=False),
    sa.Column("changed_at", UtcMicros, nullable=False),
    sqlite_autoincrement=True,  # a number is never used twice: tables are named after it
)

one_live_build = sa.Index(
    "ix_projection_builds_live",
    builds.c.projection,
    unique=True,
    sqlite_where=sa.text("state = 'live'"),
    postgresql_where=sa.text("state = 'live'"),
)

checkpoints = sa.Table(
    "projection_checkpoints",
    metadata,
    sa.Column(
        "build_id", big_id, sa.ForeignKey("projection_builds.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("cursor", sa.Text, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("updated_at", UtcMicros, nullable=False),
)

dead_letters = sa.Table(
    "projection_dead_letters",
    metadata,
    sa.Column(
        "build_id", big_id, sa.ForeignKey("projection_builds.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("event_id", uuid, primary_key=True),
    sa.Column("stream", name, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("type", name, nullable=False),
    sa.Column("cursor", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("failed_at", UtcMicros, nullable=False),
)
