"""Weights that were uploaded, to begin a training from"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    json = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "weights",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("arrays", json, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_weights_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_weights"),
        sa.UniqueConstraint("tenant_id", "sha256", name="uq_weights_tenant_id_sha256"),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_weights_tenant_id_created_at_id", "weights", ["tenant_id", "created_at", "id"]
    )
    op.create_table(
        "weights_content",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("weights_id", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_weights_content_tenant_id"),
        sa.ForeignKeyConstraint(
            ["weights_id"], ["weights.id"], name="fk_weights_content_weights_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("weights_id", name="pk_weights_content"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("weights_content")
    op.drop_table("weights")
