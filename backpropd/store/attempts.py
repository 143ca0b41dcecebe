"""The attempts of a job, read from its events: who tried, how far, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from backpropd.store.lifecycle import JobStatus
from backpropd.store.tables import JobEventRow


@dataclass(frozen=True, slots=True)
class Attempt:
    """One lease of a job."""

    attempt: int
    worker_id: str | None
    started_at: datetime
    ended_at: datetime | None  # None while it runs
    outcome: str | None  # the state it led to
    reason: str | None
    actor: str | None  # who ended it


def of(session: Session, job_id: str) -> list[Attempt]:
    """All attempts, the first one first."""
    query = (
        select(JobEventRow)
        .where(JobEventRow.job_id == job_id, JobEventRow.kind == "moved")
        .order_by(JobEventRow.seq)
    )
    found: list[Attempt] = []
    for event in session.scalars(query):
        if event.to_status == JobStatus.RUNNING:
            worker = (event.detail or {}).get("worker")
            found.append(Attempt(event.attempt, worker, event.at, None, None, None, None))
        elif event.from_status == JobStatus.RUNNING and found:
            last = found[-1]
            found[-1] = Attempt(
                last.attempt,
                last.worker_id,
                last.started_at,
                event.at,
                event.to_status,
                event.reason,
                event.actor,
            )
    return found
