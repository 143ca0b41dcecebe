"""Snapshots: weights that were kept, and checkpoints to go on from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backpropd.store.tables.base import Base, Owned


class SnapshotRow(Owned, Base):
    """What was kept, of which epoch, and why."""

    __tablename__ = "snapshot"
    __table_args__ = (UniqueConstraint("job_id", "epoch", "kind"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    epoch: Mapped[int]
    kind: Mapped[str]  # initial, every, best, final, checkpoint
    attempt: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    size: Mapped[int]  # bytes of the content
    sha256: Mapped[str]  # of the content, which is never changed
    created_at: Mapped[datetime]


class SnapshotContentRow(Owned, Base):
    """theta as little-endian floats; of a checkpoint, the whole TrainingState."""

    __tablename__ = "snapshot_content"

    snapshot_id: Mapped[str] = mapped_column(
        ForeignKey("snapshot.id", ondelete="CASCADE"), primary_key=True
    )
    content: Mapped[bytes]
