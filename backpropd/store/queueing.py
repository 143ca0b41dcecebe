"""Who is next: the order in which waiting jobs are claimed, and when one may begin."""

from __future__ import annotations

import heapq
import statistics
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import bindparam, case, func, or_, select
from sqlalchemy.orm import Session

from backpropd.spec.job import SPEC_VERSION
from backpropd.store import dependencies, workers
from backpropd.store.clock import now
from backpropd.store.lifecycle import JobStatus, Want
from backpropd.store.tables import JobRow

# A job rises by a level of priority with each such stretch of waiting, so that none waits for ever.
AGEING = timedelta(minutes=10)
HIGHEST = 9
TYPICAL_JOBS = 50  # that ended last, from which a typical duration is taken


@cache
def claimable() -> tuple[Any, ...]:
    """The conditions under which a job waits for nothing but a worker, at a `moment`."""
    return (
        JobRow.queue == bindparam("of_queue"),
        JobRow.status == JobStatus.QUEUED,
        JobRow.want == Want.RUN,
        JobRow.spec_version <= SPEC_VERSION,
        or_(JobRow.run_after.is_(None), JobRow.run_after <= bindparam("at")),
        ~dependencies.waits(),
    )


@cache
def level() -> Any:
    """A job's priority, and one more for each stretch it has waited, at a `moment`."""
    risen = [
        (JobRow.created_at <= bindparam(f"waits_since_{stretches}"), stretches)
        for stretches in range(HIGHEST, 0, -1)
    ]
    return JobRow.priority + case(*risen, else_=0)


def moment(queue: str) -> dict[str, Any]:
    """What the conditions above are about: this queue, now.

    They are written once and given their values later: SQLAlchemy takes longer to put them
    together than a database to answer.
    """
    instant = now()
    since = {f"waits_since_{n}": instant - n * AGEING for n in range(1, HIGHEST + 1)}
    return {"of_queue": queue, "at": instant, **since}


def waiting(session: Session, queue: str) -> int:
    """How many jobs a worker could claim now."""
    return session.scalar(_waiting(), moment(queue)) or 0


@cache
def _waiting() -> Any:
    return select(func.count()).select_from(JobRow).where(*claimable())


def position(session: Session, job: JobRow) -> int | None:
    """1 for the next job of its queue to be claimed; None for one that does not wait for a worker.

    Owners that have fewer jobs running go before others of the same level; that changes with every
    claim and is left out here.
    """
    if job.status != JobStatus.QUEUED:
        return None
    before: int | None = session.scalar(_before(), {"own_id": job.id, **moment(job.queue)})
    return None if before is None else before + 1


@cache
def _before() -> Any:
    """How many jobs go before this one; no row where it may not be claimed itself."""
    own = (
        select(JobRow.id, JobRow.created_at, level().label("level"))
        .where(JobRow.id == bindparam("own_id"), *claimable())
        .cte("own")
    )
    earlier = (JobRow.created_at < own.c.created_at) | (
        (JobRow.created_at == own.c.created_at) & (JobRow.id < own.c.id)
    )
    first = or_(level() > own.c.level, (level() == own.c.level) & earlier)
    count = select(func.count()).select_from(JobRow).where(*claimable(), first)
    return select(count.scalar_subquery()).select_from(own)


def starts_at(session: Session, job: JobRow, place: int | None) -> datetime | None:
    """When a waiting job may begin, if those before it take as long as jobs took lately.

    None where nothing can be said: no worker is there, or nothing has run yet.
    """
    if place is None:
        return None
    slots = workers.slots(session, job.queue)
    if not slots:
        return None
    running = _remaining(session, job.queue)
    if place + len(running) <= slots:
        return now()
    typical = _typical(session, job.queue)
    if typical is None:
        return None
    busy = [typical if seconds is None else seconds for seconds in running]
    free = [0.0] * max(slots - len(busy), 0) + sorted(busy)[-slots:]
    heapq.heapify(free)
    for _ in range(place - 1):
        heapq.heapreplace(free, free[0] + typical)
    return now() + timedelta(seconds=min(free[0], 1e9))


def _remaining(session: Session, queue: str) -> list[float | None]:
    """Seconds that each running job still takes, if it goes on as it went; None where unknown."""
    query = select(JobRow.epoch, JobRow.epochs, JobRow.run_seconds).where(
        JobRow.queue == queue, JobRow.status == JobStatus.RUNNING
    )
    return [
        seconds / epoch * (epochs - epoch) if epoch else None
        for epoch, epochs, seconds in session.execute(query)
    ]


def _typical(session: Session, queue: str) -> float | None:
    """The median of the seconds that the last jobs took."""
    query = (
        select(JobRow.run_seconds)
        .where(JobRow.queue == queue, JobRow.status == JobStatus.SUCCEEDED)
        .order_by(JobRow.finished_at.desc())
        .limit(TYPICAL_JOBS)
    )
    taken = session.scalars(query).all()
    return statistics.median(taken) if taken else None
