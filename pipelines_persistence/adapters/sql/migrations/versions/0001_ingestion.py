"""The ledger: generations, documents, chunks, embeddings, runs."""

import sqlalchemy as sa
from alembic import op

from pipelines_persistence.adapters.sql.schema import UtcDateTime

revision = "0001"
down_revision = None

_big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "generations",
        sa.Column("id", _big_id, primary_key=True),
        sa.Column("index_name", sa.String(63), nullable=False, index=True),
        sa.Column("collection", sa.String(100), nullable=False, unique=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("configuration", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("promoted_at", UtcDateTime),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "documents",
        sa.Column("id", _big_id, primary_key=True),
        sa.Column(
            "generation_id", _big_id, sa.ForeignKey("generations.id", ondelete="CASCADE"), nullable=False
        ),
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
    op.create_table(
        "chunks",
        sa.Column(
            "document_id", _big_id, sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("point_id", sa.String(36), primary_key=True),
        sa.Column("text_hash", sa.String(64), nullable=False),
        sa.Column("payload_hash", sa.String(64), nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("is_live", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "embeddings",
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("text_hash", sa.String(64), primary_key=True),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("id", _big_id, primary_key=True),
        sa.Column("index_name", sa.String(63), nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("report", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("runs", "embeddings", "chunks", "documents", "generations"):
        op.drop_table(table)
