"""Snapshots, keys of data subjects, feeds, and how far each projection is."""

import sqlalchemy as sa
from alembic import op

from pipelines_persistence.adapters.sql.event_schema import UtcMicros, big_id, name, uuid

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "snapshots",
        sa.Column("stream", name, primary_key=True),
        sa.Column("aggregate_type", name, primary_key=True),
        sa.Column("schema_version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("recorded_at", UtcMicros, nullable=False),
        sa.Column("taken_at", UtcMicros, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "subject_keys",
        sa.Column("id", uuid, primary_key=True),
        sa.Column("subject", name, nullable=False, unique=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at", UtcMicros, nullable=False),
    )
    op.create_table(
        "event_feeds",
        sa.Column("feed", name, primary_key=True),
        sa.Column("position", sa.Text, nullable=False),
        sa.Column("updated_at", UtcMicros, nullable=False),
    )
    op.create_table(
        "projection_builds",
        sa.Column("id", big_id, primary_key=True),
        sa.Column("projection", name, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("partitions", sa.Integer, nullable=False),
        sa.Column("as_of", sa.Text, nullable=False),
        sa.Column("created_at", UtcMicros, nullable=False),
        sa.Column("changed_at", UtcMicros, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "projection_checkpoints",
        sa.Column(
            "build_id", big_id, sa.ForeignKey("projection_builds.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("updated_at", UtcMicros, nullable=False),
    )
    op.create_table(
        "projection_dead_letters",
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
    op.create_index(
        "ix_projection_builds_live",
        "projection_builds",
        ["projection"],
        unique=True,
        sqlite_where=sa.text("state = 'live'"),
        postgresql_where=sa.text("state = 'live'"),
    )


def downgrade() -> None:
    """Drop the tables; the read models' own tables stay, and can be dropped by hand."""
    for table in (
        "projection_dead_letters",
        "projection_checkpoints",
        "projection_builds",
        "event_feeds",
        "subject_keys",
        "snapshots",
    ):
        op.drop_table(table)
