"""The lease: how a worker takes a job, and why only the holder can write.

Every write of a worker begins with an UPDATE that names its attempt. It takes the row's lock, so
that nothing slips in before what follows in the same transaction; where it matches no row the lease
is lost, and Fenced is raised before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from backpropd.store import events
from backpropd.store.errors import Fenced
from backpropd.store.lifecycle import JobStatus, Want, move
from backpropd.store.queueing import claimable, level, moment
from backpropd.store.tables import JobRow, SnapshotRow, TenantRow

WORKER = "worker"
RECONCILER = "reconciler"
# A third lost lease without progress means that the job kills its workers.
MOST_CRASHES = 3
MOST_ERRORS = 3
# Where a job goes that leaves its worker while its user wants something else than to run it.
STOPPED = {Want.PAUSE: JobStatus.PAUSED, Want.CANCEL: JobStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a job, until the next attempt begins."""

    job_id: str
    tenant_id: str
    attempt: int


def claim(
    session: Session, *, worker_id: str, task_id: str, queue: str
) -> tuple[Lease, JobRow] | None:
    """The best waiting job, running from now on under a new attempt; None where none waits.

    Order: priority, which rises with waiting, then the owner with fewer running jobs, then age.
    """
    # Two claims at once could both see the last free place of an owner (PostgreSQL; SQLite has
    # one writer). Nothing else takes this lock, and a claim lasts a millisecond.
    session.scalars(select(TenantRow.id).order_by(TenantRow.id).with_for_update(key_share=True))
    given = {"by_worker": worker_id, "in_task": task_id, **moment(queue)}
    job: JobRow | None = session.scalar(_claim(), given)
    if job is None:
        return None
    events.append(
        session,
        job,
        "moved",
        from_status=JobStatus.QUEUED,
        to_status=JobStatus.RUNNING,
        actor=WORKER,
        reason=f"attempt {job.attempt}",
        detail={"worker": worker_id},
    )
    return Lease(job.id, job.tenant_id, job.attempt), job


@cache
def _claim() -> Any:
    running = (
        select(JobRow.tenant_id, func.count().label("jobs"))
        .where(JobRow.status == "running")
        .group_by(JobRow.tenant_id)
        .subquery()
    )
    jobs_running = func.coalesce(running.c.jobs, 0)
    best = (
        select(JobRow.id)
        .join(TenantRow, TenantRow.id == JobRow.tenant_id)
        .outerjoin(running, running.c.tenant_id == JobRow.tenant_id)
        .where(*claimable(), jobs_running < TenantRow.max_running)
        .order_by(level().desc(), jobs_running, JobRow.created_at, JobRow.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=JobRow)
        .scalar_subquery()
    )
    started_at = bindparam("at", type_=JobRow.started_at.type)
    return (
        update(JobRow)
        .where(JobRow.id == best, JobRow.status == JobStatus.QUEUED, JobRow.want == Want.RUN)
        .values(
            status=JobStatus.RUNNING,
            attempt=JobRow.attempt + 1,
            beat=0,
            version=JobRow.version + 1,
            worker_id=bindparam("by_worker"),
            task_id=bindparam("in_task"),
            started_at=func.coalesce(JobRow.started_at, started_at),
            run_after=None,
        )
        .returning(JobRow)
        .execution_options(synchronize_session=False)
    )


def beat(session: Session, lease: Lease, **progress: Any) -> Want:
    """Prove that the lease is held, write progress (epoch, run_seconds, ...), hear the wish.

    Raises Fenced where the lease is lost.
    """
    statement = (
        update(JobRow)
        .where(
            JobRow.id == lease.job_id,
            JobRow.attempt == lease.attempt,
            JobRow.status == JobStatus.RUNNING,
        )
        .values(beat=JobRow.beat + 1, version=JobRow.version + 1, **progress)
        .returning(JobRow.want)
        .execution_options(synchronize_session=False)
    )
    want = session.scalar(statement)
    if want is None:
        raise Fenced
    return Want(want)


def held(session: Session, lease: Lease) -> JobRow:
    """The job, in the transaction of a beat."""
    return session.get_one(JobRow, lease.job_id, populate_existing=True)


def note(session: Session, lease: Lease, kind: str, reason: str, detail: dict[str, Any]) -> None:
    """Write an event, in the transaction of a beat."""
    events.append(session, held(session, lease), kind, actor=WORKER, reason=reason, detail=detail)


def finish(session: Session, lease: Lease, status: JobStatus, *, reason: str, **facts: Any) -> None:
    """End the job: succeeded, failed, paused or cancelled; in the transaction of a beat."""
    move(session, held(session, lease), status, actor=WORKER, reason=reason, **facts)


def obey(session: Session, lease: Lease) -> None:
    """Stop the job if its user wants it now, which may not be what was wanted a beat ago."""
    job = held(session, lease)
    if job.want in STOPPED:
        _leave(session, job, reason="")


def give_back(session: Session, lease: Lease, *, reason: str) -> None:
    """Queue the job again without a charge: the worker stops, not the job."""
    _leave(session, held(session, lease), reason=reason)


def stumble(
    session: Session, lease: Lease, *, error: dict[str, Any], run_after: datetime
) -> JobStatus:
    """Queue the job again after an error nobody foresaw; the third in a row fails it."""
    job = held(session, lease)
    errors = job.errors + 1
    reason = error["detail"]
    if errors >= MOST_ERRORS:
        move(
            session, job, JobStatus.FAILED, actor=WORKER, reason=reason, errors=errors, error=error
        )
    else:
        _leave(session, job, reason=reason, errors=errors, run_after=run_after)
    return JobStatus(job.status)


def _leave(session: Session, job: JobRow, *, reason: str, **facts: Any) -> None:
    """Queue a job again, or stop it there where its user wants that: nobody claims it any more."""
    to = STOPPED.get(Want(job.want), JobStatus.QUEUED)
    reason = reason if to is JobStatus.QUEUED else f"{to} by its user"
    move(session, job, to, actor=WORKER, reason=reason, **facts)


def queue_all(session: Session, *, reason: str) -> None:
    """Take every lease, without a charge: no worker holds any in this database."""
    running = select(JobRow).where(JobRow.status == JobStatus.RUNNING).with_for_update()
    for job in session.scalars(running).all():
        _leave(session, job, reason=reason)


def observed(session: Session) -> Sequence[tuple[str, int, int]]:
    """(id, attempt, beat) of every running job: what a reconciler watches for change."""
    query = select(JobRow.id, JobRow.attempt, JobRow.beat).where(JobRow.status == "running")
    return [(id_, attempt, beats) for id_, attempt, beats in session.execute(query)]


def rescue(session: Session, *, job_id: str, attempt: int, beat: int) -> JobStatus | None:
    """Take the lease from a worker that fell silent; None where it spoke in the meantime."""
    job = session.scalar(
        select(JobRow)
        .where(
            JobRow.id == job_id,
            JobRow.attempt == attempt,
            JobRow.beat == beat,
            JobRow.status == JobStatus.RUNNING,
        )
        # Who holds the row writes to it just now. Waiting for the lock would keep the others, and
        # longer than a reconciler may be blind.
        .with_for_update(skip_locked=True)
    )
    return None if job is None else _rescue(session, job, "its worker fell silent")


def rescue_task(session: Session, task_id: str) -> JobStatus | None:
    """The same for a job whose process is known to be dead; None where it holds none."""
    job = session.scalar(
        select(JobRow)
        .where(JobRow.task_id == task_id, JobRow.status == JobStatus.RUNNING)
        .with_for_update()
    )
    return None if job is None else _rescue(session, job, "its process died")


def _rescue(session: Session, job: JobRow, reason: str) -> JobStatus:
    progress = session.scalar(
        select(func.max(SnapshotRow.epoch)).where(
            SnapshotRow.job_id == job.id, SnapshotRow.kind == "checkpoint"
        )
    )
    progress = progress or 0
    crashes = 1 if progress > job.crash_epoch else job.crashes + 1
    facts: dict[str, Any] = {"crashes": crashes, "crash_epoch": progress}
    to = STOPPED.get(Want(job.want))
    if to is None and crashes >= MOST_CRASHES:
        to = JobStatus.FAILED
        detail = f"{crashes} workers were lost to this job in a row, none of them got further."
        facts["error"] = {"code": "crash_loop", "title": "Crash loop", "detail": detail}
    to = to or JobStatus.QUEUED
    move(session, job, to, actor=RECONCILER, reason=reason, **facts)
    return to
