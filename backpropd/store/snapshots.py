"""Weights that are kept, and checkpoints to go on from; content is never changed once written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import new_id, sha256_hex
from backpropd.store.clock import now
from backpropd.store.errors import Corrupt, NotFound
from backpropd.store.leases import Lease
from backpropd.store.tables import SnapshotContentRow, SnapshotRow

CHECKPOINT = "checkpoint"
CHECKPOINTS_KEPT = 2  # the newest, and the one to fall back on
NAMED = ("final", "best", "initial")
LARGEST_EPOCH = 2**31 - 1  # that the column holds


def keep(
    session: Session,
    lease: Lease,
    *,
    kind: str,
    epoch: int,
    content: bytes,
    metrics: dict[str, Any],
) -> bool:
    """Keep a snapshot, in the transaction of a beat; one that is there already stays.

    A new best takes the place of the old one; of checkpoints the last two stay. False says that a
    resumed job came to other content than the one that is there and stays.
    """
    sha256 = sha256_hex(content)
    known = session.scalar(
        select(SnapshotRow).where(
            SnapshotRow.job_id == lease.job_id,
            SnapshotRow.epoch == epoch,
            SnapshotRow.kind == kind,
        )
    )
    if known is not None and kind != CHECKPOINT:
        return known.sha256 == sha256
    if known is not None:
        _drop(session, [known.id])
    if kind in ("best", "final"):
        _drop(session, _ids(session, lease.job_id, kind))
    row = SnapshotRow(
        id=new_id("snap"),
        tenant_id=lease.tenant_id,
        job_id=lease.job_id,
        epoch=epoch,
        kind=kind,
        attempt=lease.attempt,
        metrics=metrics,
        size=len(content),
        sha256=sha256,
        created_at=now(),
    )
    session.add(row)
    session.flush()
    session.add(SnapshotContentRow(tenant_id=lease.tenant_id, snapshot_id=row.id, content=content))
    session.flush()
    if kind == CHECKPOINT:
        _drop(session, _ids(session, lease.job_id, CHECKPOINT)[CHECKPOINTS_KEPT:])
    return True


def drop_checkpoints(session: Session, job_id: str, *, but: int = 0) -> None:
    """Forget the checkpoints of a job that needs them no more, but for so many of the newest."""
    _drop(session, _ids(session, job_id, CHECKPOINT)[but:])


def all_of(session: Session, job_id: str) -> Sequence[SnapshotRow]:
    """Every snapshot of a job, by epoch; checkpoints are in another format and left out."""
    return session.scalars(
        select(SnapshotRow)
        .where(SnapshotRow.job_id == job_id, SnapshotRow.kind != CHECKPOINT)
        .order_by(SnapshotRow.epoch, SnapshotRow.id)
    ).all()


def find(session: Session, job_id: str, which: str | int) -> SnapshotRow:
    """The snapshot called final, best or initial, or one of this epoch; raises NotFound."""
    query = select(SnapshotRow).where(SnapshotRow.job_id == job_id, SnapshotRow.kind != CHECKPOINT)
    if isinstance(which, int):
        query = query.where(SnapshotRow.epoch == which)
    else:
        query = query.where(SnapshotRow.kind == which)
    possible = which <= LARGEST_EPOCH if isinstance(which, int) else which in NAMED
    row = session.scalars(query.order_by(SnapshotRow.id).limit(1)).first() if possible else None
    if row is None:
        raise NotFound("snapshot", str(which))
    return row


def content(session: Session, snapshot: SnapshotRow) -> bytes:
    """What was kept; raises Corrupt where it is not what was written."""
    row = session.get_one(SnapshotContentRow, snapshot.id)
    if sha256_hex(row.content) != snapshot.sha256:
        raise Corrupt
    return row.content


def checkpoints(session: Session, job_id: str) -> Sequence[SnapshotRow]:
    """The job's checkpoints, newest first."""
    return session.scalars(
        select(SnapshotRow)
        .where(SnapshotRow.job_id == job_id, SnapshotRow.kind == CHECKPOINT)
        .order_by(SnapshotRow.epoch.desc())
    ).all()


def _ids(session: Session, job_id: str, kind: str) -> Sequence[str]:
    return session.scalars(
        select(SnapshotRow.id)
        .where(SnapshotRow.job_id == job_id, SnapshotRow.kind == kind)
        .order_by(SnapshotRow.epoch.desc())
    ).all()


def _drop(session: Session, ids: Sequence[str]) -> None:
    if ids:
        content_of = SnapshotContentRow.snapshot_id.in_(ids)
        session.execute(delete(SnapshotContentRow).where(content_of))
        session.execute(delete(SnapshotRow).where(SnapshotRow.id.in_(ids)))
