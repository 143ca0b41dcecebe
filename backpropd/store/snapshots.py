"""Weights that are kept, and checkpoints to go on from; content is never changed once written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import new_id, sha256_hex
from backpropd.store.clock import now
from backpropd.store.errors import Corrupt, NotFound
from backpropd.store.leases import Lease
from backpropd.store.lifecycle import JobStatus
from backpropd.store.tables import JobRow, SnapshotContentRow, SnapshotRow

CHECKPOINT = "checkpoint"
CHECKPOINTS_KEPT = 2  # the newest, and the one to fall back on
MOST_AT_ONCE = 500  # deleted in a transaction, which others may wait for
ONE_A_JOB = ("best", "final")
NAMED = ("final", "best", "initial")
# A later attempt goes on from where it could; what it passed over is damaged.
NEWEST_FIRST = (SnapshotRow.attempt.desc(), SnapshotRow.epoch.desc())
LARGEST_EPOCH = 2**31 - 1  # that the column holds


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot to be kept."""

    kind: str  # initial, every, best, final, checkpoint
    epoch: int
    content: bytes
    metrics: dict[str, Any] = field(default_factory=dict)


Hashed = tuple[Kept, str]  # and the sha256 of its content


def keep(
    session: Session,
    lease: Lease,
    kept: Sequence[Kept],
    *,
    checkpoints: int = CHECKPOINTS_KEPT,
) -> list[Kept]:
    """Keep snapshots, in the transaction of a beat; one that is there already stays.

    A new best or final takes the place of the old one; of checkpoints so many of the newest stay.
    Returned are those for which a resumed job came to other content than is there and stays.
    """
    if not kept and checkpoints == CHECKPOINTS_KEPT:
        return []
    known = _known(session, lease.job_id, [each.epoch for each in kept])
    there = {(row.kind, row.epoch): row.sha256 for row in known if row.kind != CHECKPOINT}
    hashed = [(each, sha256_hex(each.content)) for each in kept]
    new = [pair for pair in hashed if (pair[0].kind, pair[0].epoch) not in there]
    one_only = {each.kind for each, _ in new if each.kind in ONE_A_JOB}
    _drop(
        session,
        [row.id for row in known if row.kind in one_only] + _outdated(known, new, checkpoints),
    )
    _insert(session, lease, new)
    return [each for each, sha in hashed if there.get((each.kind, each.epoch), sha) != sha]


def _outdated(known: Sequence[Any], new: Sequence[Hashed], stay: int) -> list[str]:
    """The ids of the known checkpoints that give way to new ones; `stay` is for all together."""
    fresh = {each.epoch for each, _ in new if each.kind == CHECKPOINT}
    older = [row for row in known if row.kind == CHECKPOINT]  # newest first
    beside = [row for row in older if row.epoch not in fresh][: max(0, stay - len(fresh))]
    return [row.id for row in older if row not in beside]


def _insert(session: Session, lease: Lease, new: Sequence[Hashed]) -> None:
    """Two statements, however many there are."""
    if not new:
        return
    rows = [
        {
            "id": new_id("snap"),
            "tenant_id": lease.tenant_id,
            "job_id": lease.job_id,
            "epoch": each.epoch,
            "kind": each.kind,
            "attempt": lease.attempt,
            "metrics": each.metrics,
            "size": len(each.content),
            "sha256": sha256,
            "created_at": now(),
        }
        for each, sha256 in new
    ]
    contents = [
        {"tenant_id": lease.tenant_id, "snapshot_id": row["id"], "content": each.content}
        for row, (each, _) in zip(rows, new, strict=True)
    ]
    session.execute(insert(SnapshotRow), rows)
    session.execute(insert(SnapshotContentRow), contents)


def _known(session: Session, job_id: str, epochs: Sequence[int]) -> Sequence[Any]:
    """What is there that new snapshots of these epochs may meet; checkpoints, newest first."""
    near = SnapshotRow.epoch.between(min(epochs, default=0), max(epochs, default=0))
    query = (
        select(SnapshotRow.id, SnapshotRow.kind, SnapshotRow.epoch, SnapshotRow.sha256)
        .where(
            SnapshotRow.job_id == job_id,
            near | SnapshotRow.kind.in_([CHECKPOINT, *ONE_A_JOB]),
        )
        .order_by(*NEWEST_FIRST)
    )
    return session.execute(query).all()


def keep_given(session: Session, job: JobRow, content: bytes) -> None:
    """Keep the weights that a new job begins with, in the transaction of its submission."""
    row = SnapshotRow(
        id=new_id("snap"),
        tenant_id=job.tenant_id,
        job_id=job.id,
        epoch=0,
        kind="initial",
        attempt=0,
        metrics={},
        size=len(content),
        sha256=sha256_hex(content),
        created_at=now(),
    )
    session.add(row)
    session.flush()
    session.add(SnapshotContentRow(tenant_id=job.tenant_id, snapshot_id=row.id, content=content))
    session.flush()


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
        .order_by(*NEWEST_FIRST)
    ).all()


def purge(session: Session) -> int:
    """Forget checkpoints of cancelled jobs, which nobody can go on from; how many there were.

    A job that failed may be retried, one that is paused resumed, one that succeeded extended.
    """
    query = (
        select(SnapshotRow.id)
        .join(JobRow, JobRow.id == SnapshotRow.job_id)
        .where(SnapshotRow.kind == CHECKPOINT, JobRow.status == JobStatus.CANCELLED)
        .limit(MOST_AT_ONCE)
    )
    ids = session.scalars(query).all()
    _drop(session, ids)
    return len(ids)


def _drop(session: Session, ids: Sequence[str]) -> None:
    if ids:
        content_of = SnapshotContentRow.snapshot_id.in_(ids)
        session.execute(delete(SnapshotContentRow).where(content_of))
        session.execute(delete(SnapshotRow).where(SnapshotRow.id.in_(ids)))
