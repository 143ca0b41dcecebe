"""Jobs made of others: what one that goes on takes with it from the one it continues."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, insert, literal, select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import new_id
from backpropd.store import snapshots
from backpropd.store.errors import NotFound
from backpropd.store.tables import (
    BatchBucketRow,
    BatchChunkRow,
    HistoryBucketRow,
    HistoryChunkRow,
    JobRow,
    MetricSummaryRow,
    SnapshotContentRow,
    SnapshotRow,
)

EXTEND = "extend"
CLONE = "clone"
# What a job that goes on has of its own, as if it had been asked for so many epochs at first.
HISTORY = (HistoryChunkRow, HistoryBucketRow, BatchChunkRow, BatchBucketRow, MetricSummaryRow)
COPIED = ("initial", "every", "best", "checkpoint")


def inherit(session: Session, parent: JobRow, job: JobRow) -> None:
    """Give a new job the history, snapshots and state of the one that it continues.

    Raises NotFound where the parent's state is not kept any more.
    """
    if not list(snapshots.checkpoints(session, parent.id)):
        raise NotFound("state of job", parent.id)
    for rows in HISTORY:
        table: Any = rows.__table__
        own = {"job_id": job.id} | ({"attempt": 0} if "attempt" in table.c else {})
        _copy(session, table, table.c.job_id == parent.id, own)
    kept = select(SnapshotRow).where(SnapshotRow.job_id == parent.id, SnapshotRow.kind.in_(COPIED))
    for row in session.scalars(kept.order_by(SnapshotRow.id)).all():
        fresh = new_id("snap")
        table = SnapshotRow.__table__
        _copy(session, table, table.c.id == row.id, {"id": fresh, "job_id": job.id, "attempt": 0})
        content: Any = SnapshotContentRow.__table__
        _copy(session, content, content.c.snapshot_id == row.id, {"snapshot_id": fresh})
    job.epoch = parent.epoch
    job.updates_per_epoch = parent.updates_per_epoch
    job.run_seconds = parent.run_seconds
    job.lineage, job.encoding = parent.lineage, parent.encoding
    session.flush()


def _copy(session: Session, table: Table, where: Any, own: dict[str, Any]) -> None:
    """Copy rows inside the database, with these columns of their own."""
    names = [column.name for column in table.columns]
    values = [literal(own[name]) if name in own else table.c[name] for name in names]
    session.execute(insert(table).from_select(names, select(*values).where(where)))
