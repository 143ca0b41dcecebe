"""What an operator watches, in numbers, read in a few statements at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from backpropd.bell import QUEUE
from backpropd.store import queueing, workers
from backpropd.store.clock import now
from backpropd.store.leases import RECONCILER
from backpropd.store.lifecycle import JobStatus
from backpropd.store.tables import JobEventRow, JobRow, WorkerRow

LATELY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Figures:
    """The state of the whole service at one moment."""

    jobs: dict[str, int]  # by status
    waiting: int  # jobs that a worker could claim now
    oldest_seconds: float  # for how long the oldest of them has waited
    epochs_per_second: float  # of all running jobs
    rescues: int  # in the last ten minutes
    slots: int
    fenced: dict[str, int]  # by worker


def read(session: Session) -> Figures:
    """The figures now."""
    moment = queueing.moment(QUEUE)
    waiting = select(func.count(), func.min(JobRow.created_at)).where(*queueing.claimable())
    count, oldest = session.execute(waiting, moment).one()
    counted = session.execute(select(JobRow.status, func.count()).group_by(JobRow.status))
    jobs = dict.fromkeys((status.value for status in JobStatus), 0)
    return Figures(
        jobs=jobs | {status: number for status, number in counted},  # noqa: C416 - rows to pairs
        waiting=count,
        oldest_seconds=(now() - oldest).total_seconds() if oldest else 0.0,
        epochs_per_second=_epochs_per_second(session),
        rescues=_rescues(session),
        slots=workers.slots(session, QUEUE),
        fenced={
            row.id: row.fenced for row in session.execute(select(WorkerRow.id, WorkerRow.fenced))
        },
    )


def _epochs_per_second(session: Session) -> float:
    rate = case((JobRow.run_seconds > 0, JobRow.epoch / JobRow.run_seconds), else_=0.0)
    query = select(func.sum(rate)).where(JobRow.status == JobStatus.RUNNING)
    return float(session.scalar(query) or 0.0)


def _rescues(session: Session) -> int:
    query = select(func.count()).where(
        JobEventRow.actor == RECONCILER,
        JobEventRow.from_status == JobStatus.RUNNING,
        JobEventRow.at > now() - LATELY,
    )
    return session.scalar(query) or 0
