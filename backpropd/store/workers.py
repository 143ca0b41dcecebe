"""Who trains: for display, and to know how many bells are worth ringing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backpropd.store.clock import now
from backpropd.store.tables import LOCAL_TENANT, WorkerRow

LIVE = timedelta(seconds=30)


def seen(
    session: Session, worker_id: str, *, host: str, version: str, queue: str, slots: int
) -> None:
    """Write down that this worker is here now."""
    session.merge(
        WorkerRow(
            id=worker_id,
            tenant_id=LOCAL_TENANT,
            host=host,
            version=version,
            queue=queue,
            slots=slots,
            seen_at=now(),
        )
    )


def live(session: Session, queue: str) -> Sequence[WorkerRow]:
    """The workers of a queue that were seen lately."""
    query = select(WorkerRow).where(WorkerRow.queue == queue, WorkerRow.seen_at > now() - LIVE)
    return session.scalars(query).all()


def purge(session: Session) -> None:
    """Forget the workers that are gone."""
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < now() - 10 * LIVE))
