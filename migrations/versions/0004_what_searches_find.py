"""What searches find: tags as rows, and the indexes of statistics, states and names"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The tags of the jobs that are there already.
SQLITE_TAGS = """
INSERT INTO job_tag (job_id, key, value, tenant_id)
SELECT job.id, tag.key, tag.value, job.tenant_id FROM job, json_each(job.tags) AS tag
"""
POSTGRES_TAGS = """
INSERT INTO job_tag (job_id, key, value, tenant_id)
SELECT job.id, tag.key, tag.value, job.tenant_id
FROM job CROSS JOIN LATERAL jsonb_each_text(job.tags) AS tag
"""
STATISTICS = ("min", "max", "last")


def upgrade() -> None:
    op.create_table(
        "job_tag",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name="fk_job_tag_job_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_job_tag_tenant_id"),
        sa.PrimaryKeyConstraint("job_id", "key", name="pk_job_tag"),
        sqlite_strict=True,
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute(SQLITE_TAGS if is_sqlite else POSTGRES_TAGS)
    op.create_index(
        "ix_job_tag_tenant_id_key_value_job_id", "job_tag", ["tenant_id", "key", "value", "job_id"]
    )
    op.create_index(
        "ix_job_tenant_id_status_created_at_id", "job", ["tenant_id", "status", "created_at", "id"]
    )
    op.create_index("ix_job_tenant_id_name", "job", ["tenant_id", "name"])
    for statistic in STATISTICS:
        op.create_index(
            f"ix_metric_summary_tenant_id_metric_{statistic}_job_id",
            "metric_summary",
            ["tenant_id", "metric", statistic, "job_id"],
        )


def downgrade() -> None:
    for statistic in STATISTICS:
        op.drop_index(f"ix_metric_summary_tenant_id_metric_{statistic}_job_id", "metric_summary")
    op.drop_index("ix_job_tenant_id_name", "job")
    op.drop_index("ix_job_tenant_id_status_created_at_id", "job")
    op.drop_table("job_tag")
