"""/v1/jobs/ID/extend, /clone and /attempts: jobs made of jobs, and how often one was tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from backpropd.spec.base import parse
from backpropd.spec.faults import Fault, Invalid
from backpropd.spec.job import ExtendSpec
from backpropd.spec.limits import LIMITS
from backpropd.spec.training import TrainingSpec
from backpropd.store import attempts, descendants, jobs
from backpropd.store.database import Session
from backpropd.store.errors import NotFound, WrongState
from backpropd.store.lifecycle import JobStatus, allowed_actions
from backpropd.store.tables import JobRow
from service import submission
from service.answers import answer, time
from service.api.jobs import represent, submitted
from service.auth import tenant
from service.context import context, database
from service.once import created_once
from service.openapi import BODY, CONFLICT
from service.parameters import IdempotencyHeader, JobPath, NoQuery
from service.representations import AttemptList, JobOut

api = APIBlueprint("descendants", __name__, url_prefix="/v1", abp_tags=[Tag(name="Jobs")])


@api.post(
    "/jobs/<job_id>/extend", summary="Extend a job", responses={202: JobOut, **BODY, **CONFLICT}
)
def extend_job(
    path: JobPath, body: ExtendSpec, query: NoQuery, header: IdempotencyHeader
) -> Response:
    """A new job that goes on exactly from this one's final state.

    Its history, snapshots and weights are those of a job that had been asked for all epochs at
    first.
    """

    def create(session: Session) -> dict[str, Any]:
        return represent(session, _extended(session, path.job_id, body.epochs))

    return _submitted(create, header)


@api.post(
    "/jobs/<job_id>/clone", summary="Clone a job", responses={202: JobOut, **BODY, **CONFLICT}
)
def clone_job(path: JobPath, query: NoQuery, header: IdempotencyHeader) -> Response:
    """A new job as this one, seed included, but for what the body says otherwise.

    Objects are merged field by field; one with another `name` (another optimizer, say) takes the
    old one's place whole.
    """
    changes = request.get_json()

    def create(session: Session) -> dict[str, Any]:
        parent = jobs.find(session, tenant(), path.job_id, hold=True)
        # Not who waits for whom: that was of the moment.
        spec = {**parent.spec, "after": [], "not_before": None}
        merged = {**spec, **{k: patched(spec.get(k), v) for k, v in changes.items()}}
        checked = submission.read(session, tenant(), merged)
        job = submission.store(session, tenant(), checked, parent=parent, derived=descendants.CLONE)
        return represent(session, job)

    return _submitted(create, header)


@api.get("/jobs/<job_id>/attempts", summary="List a job's attempts", responses={200: AttemptList})
def list_attempts(path: JobPath, query: NoQuery) -> Response:
    """Who tried to run the job, when, and why each attempt ended; the first one first."""
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        found = attempts.of(session, job.id)
    data = [
        {
            "object": "attempt",
            "attempt": each.attempt,
            "worker": each.worker_id,
            "started_at": time(each.started_at),
            "ended_at": time(each.ended_at),
            "outcome": each.outcome,
            "reason": each.reason,
            "actor": each.actor,
        }
        for each in found
    ]
    return answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})


def patched(value: Any, change: Any) -> Any:
    """A value with a change: objects merged, another part in the place of the old one."""
    if not isinstance(value, Mapping) or not isinstance(change, Mapping):
        return change
    if "name" in change and change["name"] != value.get("name"):
        return change
    return {**value, **{key: patched(value.get(key), new) for key, new in change.items()}}


def _submitted(create: Any, header: IdempotencyHeader) -> Response:
    job, replayed = created_once(create, header.idempotency_key)
    if not replayed:
        context().bell.ring()
    return submitted(job, replayed=replayed)


def _extended(session: Session, job_id: str, epochs: int) -> JobRow:
    parent = jobs.find(session, tenant(), job_id, lock=True)
    if parent.status != JobStatus.SUCCEEDED:
        allowed = allowed_actions(parent.status, parent.want)
        raise WrongState("extend", parent.status, allowed)
    total = parent.epochs + epochs
    if fault := _fault_of_extension(parent, total):
        raise Invalid([fault])
    training = {**parent.spec["training"], "epochs": total}
    spec = {**parent.spec, "training": training, "after": [], "not_before": None}
    job = jobs.submit(
        session,
        tenant(),
        spec=spec,
        network_id=parent.network_id,
        dataset_id=parent.dataset_id,
        queue=parent.queue,
        parent=parent,
        derived=descendants.EXTEND,
    )
    try:
        descendants.inherit(session, parent, job)
    except NotFound:
        detail = "Its final state is not kept any more; clone it to train anew."
        raise Invalid([Fault("/job_id", "no_state", detail)]) from None
    return job


def _fault_of_extension(parent: JobRow, total: int) -> Fault | None:
    """Why a run of so many epochs would not have begun as this one did."""
    schedule = parse(TrainingSpec, parent.spec["training"]).schedule
    if parent.stop_reason != "epochs":
        detail = (
            f"It ended by its rule {parent.stop_reason}, whatever epochs it had been asked for. "
            "Clone it with another rule."
        )
        return Fault("/job_id", "ended_early", detail)
    if schedule.part.whole_run:
        detail = (
            f"The schedule {schedule.name} sets every rate by the length of the run, so a longer "
            "run would have begun otherwise. Clone it."
        )
        return Fault("/epochs", "contradiction", detail)
    if total > LIMITS.epochs:
        detail = f"{total:,} epochs in all; at most {LIMITS.epochs:,}."
        return Fault("/epochs", "too_large", detail)
    return None
