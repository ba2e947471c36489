"""The event store: the log and its epochs."""

import sqlalchemy as sa
from alembic import op

from pipelines_persistence.adapters.sql.event_schema import UtcMicros, big_id, name, uuid

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "events",
        sa.Column("position", big_id, primary_key=True),
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
        sqlite_autoincrement=True,
    )
    op.create_table(
        "event_epochs",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("identity", sa.Text, nullable=False, unique=True),
        sa.Column("started_at", UtcMicros, nullable=False),
    )
    op.create_index(
        "ix_events_log",
        "events",
        ["epoch", "transaction_id", "position"],
        sqlite_where=sa.text("epoch < 0"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("event_epochs", "events"):
        op.drop_table(table)
