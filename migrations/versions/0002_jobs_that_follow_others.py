"""Jobs that wait for others, and jobs made of others"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not by batch_alter_table, which would make the table anew on SQLite and lose its trigger.
    op.add_column("job", sa.Column("parent_id", sa.String(), nullable=True))
    op.add_column("job", sa.Column("derived", sa.String(), nullable=True))
    op.create_index("ix_job_parent_id", "job", ["parent_id"])
    op.create_table(
        "job_dependency",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("after_id", sa.String(), nullable=False),
        sa.Column("on_failure", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name="fk_job_dependency_job_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["after_id"], ["job.id"], name="fk_job_dependency_after_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_job_dependency_tenant_id"),
        sa.PrimaryKeyConstraint("job_id", "after_id", name="pk_job_dependency"),
        sqlite_strict=True,
    )
    op.create_index("ix_job_dependency_after_id", "job_dependency", ["after_id"])


def downgrade() -> None:
    op.drop_table("job_dependency")
    op.drop_index("ix_job_parent_id", "job")
    op.execute("ALTER TABLE job DROP COLUMN derived")
    op.execute("ALTER TABLE job DROP COLUMN parent_id")
