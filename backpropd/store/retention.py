"""What is not kept for ever: jobs, and parts of them, that have been over for long enough.

A job's own wish (its `retention`) and the operator's policy are both obeyed: the shorter one holds.
Counted from the job's end; what has not ended loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, delete, exists, or_, select, text
from sqlalchemy.orm import Session

from backpropd.store import events
from backpropd.store.clock import now
from backpropd.store.database import Database
from backpropd.store.dependencies import waiting_on
from backpropd.store.lifecycle import ENDED
from backpropd.store.tables import (
    BatchBucketRow,
    BatchChunkRow,
    HistoryBucketRow,
    HistoryChunkRow,
    JobRow,
    SnapshotRow,
    TenantRow,
)

RECONCILER = "reconciler"
AT_ONCE = 10  # jobs of a transaction: it stays short, and beats are not kept waiting
PAGES_AT_ONCE = 1000  # of SQLite's free pages given back in a transaction
CHECKPOINT = ("checkpoint",)
OTHER_SNAPSHOTS = ("initial", "every", "best")


@dataclass(frozen=True, slots=True)
class Policy:
    """Days for which things are kept after a job's end, None for ever; and how many jobs."""

    days: int | None = None
    history_days: int | None = None
    snapshots_days: int | None = None
    checkpoints_days: int | None = None
    jobs: int | None = None  # the newest of each owner that have ended


def expire(database: Database, policy: Policy) -> int:
    """Delete what is due, some jobs a transaction; how many jobs lost something."""
    lost = 0
    for find, shed in (
        (_due_jobs, _delete),
        (_surplus_jobs, _delete),
        (_due_history, _shed_history),
        (_due_snapshots, _shed_snapshots),
        (_due_checkpoints, _shed_checkpoints),
    ):
        with database.read() as session:
            due = find(session, policy)
        for first in range(0, len(due), AT_ONCE):
            with database.write() as session:
                some = _held(session, due[first : first + AT_ONCE])
                lost += sum(shed(session, job) for job in some)
    give_back(database)  # also what users have deleted
    return lost


def give_back(database: Database) -> None:
    """Let the file of a SQLite database shrink by what was deleted; PostgreSQL does so itself."""
    if not database.is_sqlite:
        return
    while True:
        with database.write() as session:
            before = session.scalar(text("PRAGMA freelist_count")) or 0
            # A page a step, and no row to show for it: the driver's own cursor makes all steps.
            cursor = session.connection().connection.cursor()
            cursor.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
            cursor.fetchall()
            after = session.scalar(text("PRAGMA freelist_count")) or 0
        if not after or after == before:
            break
    with database.read() as session:
        session.execute(text("PRAGMA wal_checkpoint(PASSIVE)")).all()


def _held(session: Session, ids: Sequence[str]) -> Sequence[JobRow]:
    """These jobs, locked, but for those that somebody else holds or has retried since."""
    query = select(JobRow).where(JobRow.id.in_(ids), _ended())
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def _ended() -> Any:
    return JobRow.status.in_(sorted(ENDED))


def _over(session: Session, policy_days: int | None, own: str, *conditions: Any) -> Sequence[str]:
    """The jobs that ended longer ago than the policy or their own wish allows."""
    wish = JobRow.spec[("retention", own)].as_integer()
    # Few different ones are wished for, and days are subtracted here, not in two dialects.
    wishes = session.scalars(select(wish).where(_ended(), wish.is_not(None)).distinct()).all()
    spans = [and_(wish == days, _before(days)) for days in wishes]
    if policy_days is not None:
        spans.append(_before(policy_days))
    if not spans:
        return []
    query = select(JobRow.id).where(_ended(), or_(*spans), *conditions)
    return session.scalars(query.order_by(JobRow.finished_at, JobRow.id)).all()


def _before(days: int) -> Any:
    return JobRow.finished_at < now() - timedelta(days=days)


def _due_jobs(session: Session, policy: Policy) -> Sequence[str]:
    return _over(session, policy.days, "days")


def _surplus_jobs(session: Session, policy: Policy) -> Sequence[str]:
    """Those that ended before the newest ones of their owner."""
    if policy.jobs is None:
        return []
    found: list[str] = []
    for tenant_id in session.scalars(select(TenantRow.id)).all():
        query = select(JobRow.id).where(JobRow.tenant_id == tenant_id, _ended())
        newest = query.order_by(JobRow.finished_at.desc(), JobRow.id.desc())
        found += session.scalars(newest).all()[policy.jobs :]
    return found


def _due_history(session: Session, policy: Policy) -> Sequence[str]:
    there = exists().where(HistoryChunkRow.job_id == JobRow.id)
    return _over(session, policy.history_days, "history_days", there)


def _due_snapshots(session: Session, policy: Policy) -> Sequence[str]:
    return _over(session, policy.snapshots_days, "snapshots_days", _has(OTHER_SNAPSHOTS))


def _due_checkpoints(session: Session, policy: Policy) -> Sequence[str]:
    return _over(session, policy.checkpoints_days, "checkpoints_days", _has(CHECKPOINT))


def _has(kinds: Sequence[str]) -> Any:
    return exists().where(SnapshotRow.job_id == JobRow.id, SnapshotRow.kind.in_(kinds))


def _delete(session: Session, job: JobRow) -> bool:
    """Delete the job, unless another one waits for it."""
    if list(waiting_on(session, job.id)):
        return False
    session.delete(job)
    session.flush()
    return True


def _shed_history(session: Session, job: JobRow) -> bool:
    """Delete the rows of every epoch and batch; each metric's summary stays, for searches."""
    for rows in (HistoryBucketRow, HistoryChunkRow, BatchBucketRow, BatchChunkRow):
        session.execute(delete(rows).where(rows.job_id == job.id))
    return _note(session, job, "its history was deleted, as retention says")


def _shed_snapshots(session: Session, job: JobRow) -> bool:
    _drop(session, job, OTHER_SNAPSHOTS)
    return _note(
        session, job, "its snapshots but the final one were deleted, as its retention says"
    )


def _shed_checkpoints(session: Session, job: JobRow) -> bool:
    _drop(session, job, CHECKPOINT)
    return _note(session, job, "its last state was deleted, as retention says")


def _drop(session: Session, job: JobRow, kinds: Sequence[str]) -> None:
    session.execute(
        delete(SnapshotRow).where(SnapshotRow.job_id == job.id, SnapshotRow.kind.in_(kinds))
    )


def _note(session: Session, job: JobRow, reason: str) -> bool:
    job.version += 1
    session.flush()
    events.append(session, job, "expired", actor=RECONCILER, reason=reason)
    return True
