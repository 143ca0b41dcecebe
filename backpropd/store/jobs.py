"""Jobs as their users see them: submit, find, list, and the wishes pause, resume, cancel, retry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from backpropd.spec.canonical import canonical_json, new_id, sha256_hex
from backpropd.spec.job import SPEC_VERSION
from backpropd.spec.search import Key, Node
from backpropd.store import dependencies, events
from backpropd.store.clock import now
from backpropd.store.errors import InUse, NotFound, WrongState
from backpropd.store.ids import is_possible
from backpropd.store.lifecycle import ENDED, JobStatus, Want, allowed_actions, move
from backpropd.store.listing import NEWEST_FIRST, search_page
from backpropd.store.paging import Page
from backpropd.store.searchable import JOBS
from backpropd.store.tables import JobRow, JobTagRow

API = "api"


def submit(
    session: Session,
    tenant_id: str,
    *,
    spec: dict[str, Any],
    network_id: str,
    dataset_id: str,
    queue: str,
    parent: JobRow | None = None,
    derived: str | None = None,
) -> JobRow:
    """Queue a job whose spec has every default filled in and a seed drawn.

    `derived` says how it was made of its `parent`: extend or clone.
    """
    not_before = spec.get("not_before")
    row = JobRow(
        id=new_id("job"),
        tenant_id=tenant_id,
        network_id=network_id,
        dataset_id=dataset_id,
        name=spec["name"],
        tags=spec["tags"],
        spec=spec,
        spec_sha256=sha256_hex(canonical_json(spec)),
        spec_version=SPEC_VERSION,
        seed=spec["training"]["seed"],
        queue=queue,
        priority=spec["priority"],
        status=JobStatus.QUEUED,
        want=Want.RUN,
        version=1,
        attempt=0,
        beat=0,
        crashes=0,
        crash_epoch=0,
        errors=0,
        epoch=0,
        epochs=spec["training"]["epochs"],
        run_seconds=0.0,
        run_after=None if not_before is None else datetime.fromisoformat(not_before),
        parent_id=None if parent is None else parent.id,
        derived=derived,
        created_at=now(),
    )
    session.add(row)
    session.flush()
    session.add_all(
        JobTagRow(tenant_id=tenant_id, job_id=row.id, key=key, value=value)
        for key, value in row.tags.items()
    )
    reason = "submitted" if parent is None else f"{derived} of {parent.id}"
    events.append(session, row, "moved", to_status=JobStatus.QUEUED, actor=API, reason=reason)
    dependencies.add(session, row, spec.get("after", ()), spec.get("on_failure", "cancel"))
    return row


def find(
    session: Session, tenant_id: str, job_id: str, *, lock: bool = False, hold: bool = False
) -> JobRow:
    """The job with this id; raises NotFound, also for somebody else's.

    `lock`: the caller changes it. `hold`: nobody deletes it until the caller's transaction ends.
    """
    asked = {"tenant_id": tenant_id, "job_id": job_id}
    row: JobRow | None = (
        session.scalar(_find(lock=lock, hold=hold), asked) if is_possible(job_id) else None
    )
    if row is None:
        raise NotFound("job", job_id)
    return row


@cache
def _find(*, lock: bool, hold: bool) -> Any:
    owned = (JobRow.tenant_id == bindparam("tenant_id"), JobRow.id == bindparam("job_id"))
    query = select(JobRow).where(*owned)
    return query.with_for_update(read=not lock, key_share=not lock) if lock or hold else query


def find_all(session: Session, tenant_id: str, job_ids: Sequence[str]) -> dict[str, JobRow]:
    """The jobs with these ids, by id; raises NotFound for the first that is not there."""
    possible = [job_id for job_id in job_ids if is_possible(job_id)]
    query = select(JobRow).where(JobRow.tenant_id == tenant_id, JobRow.id.in_(possible))
    found = {job.id: job for job in session.scalars(query)}
    for job_id in job_ids:
        if job_id not in found:
            raise NotFound("job", job_id)
    return {job_id: found[job_id] for job_id in job_ids}


def list_page(
    session: Session,
    tenant_id: str,
    *,
    limit: int,
    cursor: str | None,
    where: Node | None = None,
    order: Sequence[Key] = NEWEST_FIRST,
) -> Page[JobRow]:
    """The owner's jobs that a filter finds, newest first where no order is given."""
    return search_page(
        session, JOBS, tenant_id, where=where, order=order, limit=limit, cursor=cursor
    )


def cancel(session: Session, tenant_id: str, job_id: str) -> JobRow:
    """End a job that waits; ask one that runs to stop at its next beat."""
    job = _asked(session, tenant_id, job_id, "cancel", also=JobStatus.CANCELLED)
    if job.status in (JobStatus.QUEUED, JobStatus.PAUSED):
        reason = "cancelled by its user"
        move(session, job, JobStatus.CANCELLED, actor=API, reason=reason, want=Want.CANCEL)
    elif job.status == JobStatus.RUNNING:
        _wish(session, job, Want.CANCEL)
    return job


def pause(session: Session, tenant_id: str, job_id: str) -> JobRow:
    """Let a job wait for its user; one that runs stops at its next beat, with a checkpoint."""
    job = _asked(session, tenant_id, job_id, "pause", also=JobStatus.PAUSED)
    if job.status == JobStatus.QUEUED:
        reason = "paused by its user"
        move(session, job, JobStatus.PAUSED, actor=API, reason=reason, want=Want.PAUSE)
    elif job.status == JobStatus.RUNNING:
        _wish(session, job, Want.PAUSE)
    return job


def resume(session: Session, tenant_id: str, job_id: str) -> JobRow:
    """Let a paused job go on; take back the wish to pause one that still runs."""
    job = find(session, tenant_id, job_id, lock=True)
    if job.status in (JobStatus.QUEUED, JobStatus.RUNNING) and job.want == Want.RUN:
        return job
    _check(job, "resume")
    if job.status == JobStatus.PAUSED:
        reason = "resumed by its user"
        move(session, job, JobStatus.QUEUED, actor=API, reason=reason, want=Want.RUN)
    else:
        _wish(session, job, Want.RUN)
    return job


def retry(session: Session, tenant_id: str, job_id: str) -> JobRow:
    """Queue a failed job again; its attempts go on counting, its crashes begin at 0."""
    job = find(session, tenant_id, job_id, lock=True)
    if job.status in (JobStatus.QUEUED, JobStatus.RUNNING) and job.want == Want.RUN:
        return job
    _check(job, "retry")
    move(
        session,
        job,
        JobStatus.QUEUED,
        actor=API,
        reason="retried by its user",
        want=Want.RUN,
        crashes=0,
        errors=0,
        error=None,
        finished_at=None,
        run_after=None,
    )
    return job


def delete(session: Session, tenant_id: str, job_id: str) -> None:
    """Delete a job that has ended, with its history and snapshots."""
    job = find(session, tenant_id, job_id, lock=True)
    if job.status not in ENDED:
        raise WrongState("delete", job.status, allowed_actions(job.status, job.want))
    if waiting := list(dependencies.waiting_on(session, job.id)):
        raise InUse(waiting)
    session.delete(job)


def _asked(
    session: Session, tenant_id: str, job_id: str, action: str, *, also: JobStatus
) -> JobRow:
    """The job, locked, if `action` is allowed or has led to the state `also` before."""
    job = find(session, tenant_id, job_id, lock=True)
    if job.status != also:
        _check(job, action)
    return job


def _check(job: JobRow, action: str) -> None:
    allowed = allowed_actions(job.status, job.want)
    if action not in allowed:
        raise WrongState(action, job.status, allowed)


def _wish(session: Session, job: JobRow, want: Want) -> None:
    if job.want == want:
        return
    job.want = want
    job.version += 1
    session.flush()
    events.append(session, job, "wanted", actor=API, reason=f"its user wants it to {want}")
