"""What happened to a job, numbered, written in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Integer, bindparam, func, insert, select
from sqlalchemy.orm import Session

from backpropd.store.clock import now
from backpropd.store.tables import JobEventRow, JobRow


def append(
    session: Session,
    job: JobRow,
    kind: str,
    *,
    actor: str,
    reason: str,
    from_status: str | None = None,
    to_status: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add the next event; the caller holds the job's row, so the numbers have no gap."""
    last = select(func.coalesce(func.max(JobEventRow.seq), 0)).where(JobEventRow.job_id == job.id)
    statement = insert(JobEventRow).values(
        tenant_id=job.tenant_id,
        job_id=job.id,
        seq=last.scalar_subquery() + 1,
        kind=kind,
        from_status=from_status,
        to_status=to_status,
        attempt=job.attempt,
        actor=actor,
        reason=reason[:2000],
        at=now(),
        # None would be JSON's null here.
        **({} if detail is None else {"detail": detail}),
    )
    session.execute(statement)


def after(session: Session, job_id: str, seq: int, limit: int) -> Sequence[JobEventRow]:
    """The events that follow number `seq`, oldest first."""
    return session.scalars(_after(), {"job_id": job_id, "after": seq, "most": limit}).all()


@cache
def _after() -> Any:
    later = (JobEventRow.job_id == bindparam("job_id"), JobEventRow.seq > bindparam("after"))
    most = bindparam("most", type_=Integer)
    return select(JobEventRow).where(*later).order_by(JobEventRow.seq).limit(most)
