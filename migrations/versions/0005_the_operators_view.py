"""Workers that an operator may drain, and rescues that are quickly counted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "worker", sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(
        "worker", sa.Column("fenced", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_index(
        "ix_job_event_rescue",
        "job_event",
        ["at"],
        sqlite_where=sa.text("actor = 'reconciler'"),
        postgresql_where=sa.text("actor = 'reconciler'"),
    )


def downgrade() -> None:
    op.drop_index("ix_job_event_rescue", "job_event")
    op.execute("ALTER TABLE worker DROP COLUMN fenced")
    op.execute("ALTER TABLE worker DROP COLUMN draining")
