"""What was observed of each dependency."""

import sqlalchemy as sa
from alembic import op

from pipelines_persistence.adapters.sql.event_schema import UtcMicros, big_id

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "observations",
        sa.Column("id", big_id, primary_key=True),
        sa.Column("dependency", sa.Text, nullable=False),
        sa.Column("observed_at", UtcMicros, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("latency", sa.Float, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("measures", sa.Text, nullable=False),
    )
    op.create_index("ix_observations_dependency", "observations", ["dependency", "observed_at"])
    op.create_index("ix_observations_observed_at", "observations", ["observed_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("observations")
