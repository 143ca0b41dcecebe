"""Jobs that wait for others: who may be claimed, and what becomes of those that wait in vain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, exists, select
from sqlalchemy.orm import Session, aliased

from backpropd.store.lifecycle import ENDED, JobStatus, Want, move
from backpropd.store.tables import JobDependencyRow, JobRow

RECONCILER = "reconciler"
MOST_AT_ONCE = 100
VAIN = sorted(ENDED - {JobStatus.SUCCEEDED})


def add(session: Session, job: JobRow, after: Sequence[str], on_failure: str) -> None:
    """Let a job wait for these."""
    for after_id in after:
        session.add(
            JobDependencyRow(
                tenant_id=job.tenant_id, job_id=job.id, after_id=after_id, on_failure=on_failure
            )
        )
    session.flush()


def waits() -> Any:
    """The condition under which a job has something to wait for; JobRow stands for the job."""
    before = aliased(JobRow)
    done = before.status == JobStatus.SUCCEEDED
    all_the_same = and_(JobDependencyRow.on_failure == "run", before.status.in_(VAIN))
    return exists(
        select(1)
        .select_from(JobDependencyRow)
        .join(before, before.id == JobDependencyRow.after_id)
        .where(JobDependencyRow.job_id == JobRow.id, ~done, ~all_the_same)
        .correlate(JobRow)
    )


def in_vain(session: Session) -> bool:
    """Whether some job waits for one that failed or was cancelled."""
    return session.execute(_in_vain().limit(1)).first() is not None


def settle(session: Session) -> int:
    """Cancel jobs that wait for one that failed or was cancelled; how many there were."""
    vain = _in_vain().limit(MOST_AT_ONCE).with_for_update(of=JobRow, skip_locked=True)
    cancelled: set[str] = set()
    for job, before_id, status in session.execute(vain).all():
        if job.id in cancelled:
            continue
        cancelled.add(job.id)
        happened = "was cancelled" if status == JobStatus.CANCELLED else "failed"
        reason = f"{before_id}, which it waited for, {happened}"
        move(session, job, JobStatus.CANCELLED, actor=RECONCILER, reason=reason, want=Want.CANCEL)
    return len(cancelled)


def _in_vain() -> Any:
    """Each waiting job with a job that it waits for and that will not succeed, and its status."""
    before = aliased(JobRow)
    return (
        select(JobRow, before.id, before.status)
        .join(JobDependencyRow, JobDependencyRow.job_id == JobRow.id)
        .join(before, before.id == JobDependencyRow.after_id)
        .where(
            JobRow.status.in_([JobStatus.QUEUED, JobStatus.PAUSED]),
            JobDependencyRow.on_failure == "cancel",
            before.status.in_(VAIN),
        )
    )


def waiting_for(session: Session, job_id: str) -> Sequence[str]:
    """The ids of unended jobs that a job waits for."""
    query = (
        select(JobDependencyRow.after_id)
        .join(JobRow, JobRow.id == JobDependencyRow.after_id)
        .where(JobDependencyRow.job_id == job_id, JobRow.status.not_in(sorted(ENDED)))
        .order_by(JobDependencyRow.after_id)
    )
    return session.scalars(query).all()


def waiting_on(session: Session, job_id: str) -> Sequence[str]:
    """The ids of unended jobs that wait for this one."""
    query = (
        select(JobDependencyRow.job_id)
        .join(JobRow, JobRow.id == JobDependencyRow.job_id)
        .where(JobDependencyRow.after_id == job_id, JobRow.status.not_in(sorted(ENDED)))
        .order_by(JobDependencyRow.job_id)
    )
    return session.scalars(query).all()
