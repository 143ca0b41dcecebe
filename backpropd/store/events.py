"""What happened to a job, numbered, written in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
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
    session.add(
        JobEventRow(
            tenant_id=job.tenant_id,
            job_id=job.id,
            seq=session.scalar(last) + 1,  # type: ignore[operator]
            kind=kind,
            from_status=from_status,
            to_status=to_status,
            attempt=job.attempt,
            actor=actor,
            reason=reason[:2000],
            detail=detail,
            at=now(),
        )
    )
    session.flush()


def after(session: Session, job_id: str, seq: int, limit: int) -> Sequence[JobEventRow]:
    """The events that follow number `seq`, oldest first."""
    return session.scalars(
        select(JobEventRow)
        .where(JobEventRow.job_id == job_id, JobEventRow.seq > seq)
        .order_by(JobEventRow.seq)
        .limit(limit)
    ).all()
