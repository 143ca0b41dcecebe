"""Who trains: to be looked at, to be drained, and to know how many bells are worth ringing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, load_only

from backpropd.store import audit
from backpropd.store.audit import Actor
from backpropd.store.clock import now
from backpropd.store.errors import NotFound
from backpropd.store.ids import is_possible
from backpropd.store.lifecycle import JobStatus
from backpropd.store.tables import LOCAL_TENANT, JobRow, WorkerRow

LIVE = timedelta(seconds=30)


def seen(
    session: Session, worker_id: str, *, host: str, version: str, queue: str, slots: int
) -> bool:
    """Write down that this worker is here now; whether an operator wants it drained."""
    row = session.get(WorkerRow, worker_id)
    if row is None:
        row = WorkerRow(id=worker_id, tenant_id=LOCAL_TENANT, draining=False, fenced=0)
        session.add(row)
    row.host, row.version, row.queue, row.slots = host, version, queue, slots
    row.seen_at = now()
    return row.draining


def count_fenced(session: Session, worker_id: str) -> None:
    """Count a write that a worker did not make, because it had lost its lease."""
    counted = update(WorkerRow).where(WorkerRow.id == worker_id)
    session.execute(counted.values(fenced=WorkerRow.fenced + 1))


def live(session: Session) -> Sequence[WorkerRow]:
    """The workers that were seen lately, the newest first."""
    query = select(WorkerRow).where(WorkerRow.seen_at > now() - LIVE)
    return session.scalars(query.order_by(WorkerRow.seen_at.desc(), WorkerRow.id)).all()


def slots(session: Session, queue: str) -> int:
    """How many jobs of this queue can be trained at once."""
    query = select(func.sum(WorkerRow.slots)).where(
        WorkerRow.queue == queue, WorkerRow.seen_at > now() - LIVE, WorkerRow.draining.is_(False)
    )
    return session.scalar(query) or 0


def jobs(session: Session) -> dict[str, list[str]]:
    """Of each worker the ids of the jobs that it trains."""
    query = select(JobRow).where(JobRow.status == JobStatus.RUNNING).order_by(JobRow.id)
    held: dict[str, list[str]] = {}
    for job in session.scalars(query.options(load_only(JobRow.worker_id))):
        held.setdefault(job.worker_id or "", []).append(job.id)
    return held


def drain(session: Session, worker_id: str, actor: Actor, *, draining: bool) -> WorkerRow:
    """Say that a worker shall hand back what it holds and take nothing, or take jobs again.

    Repeating it changes nothing. Raises NotFound for one that was not seen lately.
    """
    query = select(WorkerRow).where(WorkerRow.id == worker_id, WorkerRow.seen_at > now() - LIVE)
    row = session.scalar(query.with_for_update()) if is_possible(worker_id) else None
    if row is None:
        raise NotFound("worker", worker_id)
    if row.draining is not draining:
        row.draining = draining
        audit.record(session, actor, "worker.drained" if draining else "worker.resumed", row.id)
    return row


def purge(session: Session) -> None:
    """Forget the workers that are gone."""
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < now() - 10 * LIVE))
