"""The life of a job: its states, the moves between them, and the one guarded UPDATE that moves."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from backpropd.store import events
from backpropd.store.clock import now
from backpropd.store.errors import Fenced
from backpropd.store.tables import JobRow


class JobStatus(StrEnum):
    """Where a job is."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # one worker holds the lease
    PAUSED = "paused"  # waits for its user
    SUCCEEDED = "succeeded"  # final
    FAILED = "failed"  # ended; its user may retry
    CANCELLED = "cancelled"  # final


class Want(StrEnum):
    """What the user wishes; the lease holder obeys at its next beat."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


MOVES = {
    JobStatus.QUEUED: {JobStatus.RUNNING, JobStatus.PAUSED, JobStatus.CANCELLED},
    JobStatus.RUNNING: {
        JobStatus.SUCCEEDED,
        JobStatus.FAILED,
        JobStatus.QUEUED,
        JobStatus.PAUSED,
        JobStatus.CANCELLED,
    },
    JobStatus.PAUSED: {JobStatus.QUEUED, JobStatus.CANCELLED},
    JobStatus.FAILED: {JobStatus.QUEUED},
}
FINAL = frozenset(set(JobStatus) - set(MOVES))
ENDED = FINAL | {JobStatus.FAILED}


def allowed_actions(status: str, want: str) -> list[str]:
    """What a user may ask of a job in this state."""
    return [*_moves_asked(status, want), "clone"]


def _moves_asked(status: str, want: str) -> list[str]:
    if status == JobStatus.RUNNING:
        if want == Want.CANCEL:
            return ["cancel"]
        return ["cancel", "pause"] if want == Want.RUN else ["cancel", "pause", "resume"]
    return {
        JobStatus.QUEUED: ["cancel", "pause"],
        JobStatus.PAUSED: ["cancel", "resume"],
        JobStatus.FAILED: ["retry", "delete"],
        JobStatus.SUCCEEDED: ["extend", "delete"],
    }.get(JobStatus(status), ["delete"])


def move(
    session: Session, job: JobRow, to: JobStatus, *, actor: str, reason: str, **changes: Any
) -> None:
    """Take a job from the state in which it was read to another, and write the event.

    Raises Fenced where the row is no longer as it was read: another attempt, beat or state.
    """
    before = job.status
    values = {"status": to, "version": JobRow.version + 1, **changes}
    if to in ENDED:
        values["finished_at"] = now()
    statement = (
        update(JobRow)
        .where(
            JobRow.id == job.id,
            JobRow.status == before,
            JobRow.attempt == job.attempt,
            JobRow.beat == job.beat,
        )
        .values(**values)
        .returning(JobRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if session.scalar(statement) is None:
        raise Fenced
    events.append(
        session,
        job,
        "moved",
        from_status=before,
        to_status=to,
        actor=actor,
        reason=reason,
    )
