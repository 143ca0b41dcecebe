"""History by update and by time, and, where asked for, of every batch"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("job", sa.Column("updates_per_epoch", sa.Integer(), nullable=True))
    op.add_column("history_chunk", sa.Column("began_at", INSTANT, nullable=True))
    op.add_column("history_chunk", sa.Column("ended_at", INSTANT, nullable=True))
    spread = ["job_id", "first_epoch", "last_epoch", "stride", "count"]
    op.create_index("ix_history_chunk_rows", "history_chunk", spread)
    op.create_table(
        "batch_chunk",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("first_update", sa.BigInteger(), nullable=False),
        sa.Column("last_update", sa.BigInteger(), nullable=False),
        sa.Column("stride", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("began_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("tenant_id", sa.String(), nullable=False),
        *_keys("batch_chunk", "job_id", "first_update"),
        sqlite_strict=True,
    )
    spread = ["job_id", "first_update", "last_update", "stride", "count"]
    op.create_index("ix_batch_chunk_rows", "batch_chunk", spread)
    op.create_table(
        "batch_bucket",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("min", sa.Float(53), nullable=True),
        sa.Column("min_update", sa.BigInteger(), nullable=True),
        sa.Column("max", sa.Float(53), nullable=True),
        sa.Column("max_update", sa.BigInteger(), nullable=True),
        sa.Column("tenant_id", sa.String(), nullable=False),
        *_keys("batch_bucket", "job_id", "metric", "size", "bucket"),
        sqlite_strict=True,
    )


def _keys(table: str, *primary: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], f"fk_{table}_job_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], f"fk_{table}_tenant_id"),
        sa.PrimaryKeyConstraint(*primary, name=f"pk_{table}"),
    ]


def downgrade() -> None:
    op.drop_table("batch_bucket")
    op.drop_table("batch_chunk")
    op.drop_index("ix_history_chunk_rows", "history_chunk")
    op.execute("ALTER TABLE history_chunk DROP COLUMN ended_at")
    op.execute("ALTER TABLE history_chunk DROP COLUMN began_at")
    op.execute("ALTER TABLE job DROP COLUMN updates_per_epoch")
