"""/v1/jobs: submit, watch, and the wishes cancel, pause, resume and retry."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from backpropd.export.numbers import json_number
from backpropd.spec.faults import Invalid
from backpropd.spec.job import JobBatchSpec, RetentionSpec
from backpropd.spec.search import Both, Comparison
from backpropd.store import dependencies, events, history, jobs, networks, queueing
from backpropd.store.clock import now
from backpropd.store.database import Session
from backpropd.store.errors import Busy
from backpropd.store.lifecycle import ENDED, JobStatus, allowed_actions
from backpropd.store.searchable import JOB_FIELDS
from backpropd.store.tables import JobRow, MetricSummaryRow
from service import feeds, problems, submission
from service.answers import answer, resource, time
from service.api.history import LAYERS
from service.auth import tenant
from service.context import context, database
from service.once import created_once
from service.openapi import BODY, CONFLICT
from service.parameters import (
    EventsQuery,
    IdempotencyHeader,
    JobPath,
    JobsQuery,
    NoQuery,
    ValidateQuery,
    WaitQuery,
)
from service.representations import BatchOut, EventList, JobList, JobOut, JobVerdict
from service.search import searched

api = APIBlueprint("jobs", __name__, url_prefix="/v1", abp_tags=[Tag(name="Jobs")])

POLL_SECONDS = 0.1
RETRY_AFTER_SECONDS = "1"
FOR_EVER = RetentionSpec().model_dump(mode="json")
MOST_TRANSITIONS = 1000
# Who waits holds a thread; so many of a process's threads may wait, the others answer.
_waiting = threading.BoundedSemaphore(8)


def represent(
    session: Session, job: JobRow, network: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A job as the contract shows it; `network` is its definition, where that is at hand."""
    if network is None:
        network = networks.find(session, job.tenant_id, job.network_id).definition
    begun = job.attempt or job.epoch
    moves = [e for e in events.after(session, job.id, 0, MOST_TRANSITIONS) if e.kind == "moved"]
    metrics = history.summaries(session, [job.id])[job.id] if begun else []
    after = job.spec.get("after", [])
    place = queueing.position(session, job)
    return {
        **_core(job, metrics),
        "queue_position": place,
        "starts_at": time(queueing.starts_at(session, job, place)),
        "not_before": job.spec.get("not_before"),
        "after": after,
        "waiting_for": list(dependencies.waiting_for(session, job.id)) if after else [],
        "on_failure": job.spec.get("on_failure", "cancel"),
        "strict": job.spec.get("strict", False),
        "network": network,
        "training": job.spec["training"],
        "initial": job.spec.get("initial"),
        "history": job.spec["history"],
        "snapshots": job.spec["snapshots"],
        "retention": job.spec.get("retention") or FOR_EVER,
        "webhook": None,
        "lineage": job.lineage,
        "transitions": [
            {
                "at": time(move.at),
                "from_status": move.from_status,
                "to_status": move.to_status,
                "attempt": move.attempt,
                "actor": move.actor,
                "reason": move.reason,
            }
            for move in moves
        ],
    }


def _core(job: JobRow, metrics: list[MetricSummaryRow]) -> dict[str, Any]:
    """What a list shows of a job."""
    here = f"/v1/jobs/{job.id}"
    return {
        "object": "job",
        "id": job.id,
        "created_at": time(job.created_at),
        "started_at": time(job.started_at),
        "finished_at": time(job.finished_at),
        "name": job.name,
        "tags": job.tags,
        "priority": job.priority,
        "status": job.status,
        "want": job.want,
        "allowed_actions": allowed_actions(job.status, job.want),
        "version": job.version,
        "attempt": job.attempt,
        "progress": {
            "epoch": job.epoch,
            "epochs": job.epochs,
            "fraction": job.epoch / job.epochs,
            "samples_per_second": job.samples_per_second,
        },
        "eta_at": _eta(job),
        "parent": job.parent_id,
        "derived": job.derived,
        "network_id": job.network_id,
        "dataset_id": job.dataset_id,
        "dataset": job.spec["dataset"],
        "metrics": {
            row.metric: _summary(row) for row in metrics if not row.metric.startswith(LAYERS)
        },
        "final": job.final,
        "stop_reason": job.stop_reason,
        "error": job.error,
        "links": {
            "self": here,
            "history": f"{here}/history",
            "events": f"{here}/events",
            "snapshots": f"{here}/snapshots",
            "attempts": f"{here}/attempts",
        },
    }


def _eta(job: JobRow) -> str | None:
    """When a running job will be through all its epochs, if it goes on as it went."""
    if job.status != JobStatus.RUNNING or not job.epoch or not job.run_seconds:
        return None
    seconds = job.run_seconds / job.epoch * (job.epochs - job.epoch)
    return time(now() + timedelta(seconds=min(seconds, 1e9)))


def _summary(row: MetricSummaryRow) -> dict[str, Any]:
    def shown(value: float | None) -> float | str:
        return "NaN" if value is None else json_number(value)

    return {
        "first": shown(row.first),
        "last": shown(row.last),
        "min": shown(row.min),
        "min_epoch": row.min_epoch,
        "max": shown(row.max),
        "max_epoch": row.max_epoch,
    }


@api.post("/jobs", summary="Submit a job", responses={202: JobOut, 200: JobVerdict, **BODY})
def submit_job(query: ValidateQuery, header: IdempotencyHeader) -> Response:
    """Queue a training job, or, with validate_only, say what it would be."""
    raw = request.get_json()
    if query.validate_only:
        return _verdict(raw)

    def create(session: Session) -> dict[str, Any]:
        checked = submission.read(session, tenant(), raw)
        job = submission.store(session, tenant(), checked)
        return represent(session, job, checked.network.definition())

    job, replayed = created_once(create, header.idempotency_key)
    if not replayed:
        context().bell.ring()
    return submitted(job, replayed=replayed)


def submitted(job: dict[str, Any], *, replayed: bool) -> Response:
    """The answer to who has submitted a job."""
    headers = {"Location": f"/v1/jobs/{job['id']}", "Retry-After": RETRY_AFTER_SECONDS}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return answer(job, 202, headers)


@api.post("/jobs/batch", summary="Submit many jobs", responses={200: BatchOut, **BODY})
def submit_batch(body: JobBatchSpec, query: NoQuery) -> Response:
    """Queue up to 1,000 jobs; each has a result of its own, and one fault stops no other."""
    results = [_submit_one_of_many(raw) for raw in body.jobs]
    if any(result["job"] for result in results):
        context().bell.ring()
    return answer({"object": "job_batch", "data": results})


@api.get("/jobs", summary="List jobs", responses={200: JobList})
def list_jobs(query: JobsQuery) -> Response:
    """Your jobs that the filter finds, newest first where no order is given."""
    asked = searched(query, JOB_FIELDS)
    if query.status is not None:
        of_status = Comparison(JOB_FIELDS.field("status"), "=", (query.status,))
        asked["where"] = Both((of_status, asked["where"])) if "where" in asked else of_status
    with database().read() as session:
        page = jobs.list_page(session, tenant(), **asked)
        metrics = history.summaries(session, [job.id for job in page.rows])
    data = [_core(job, metrics[job.id]) for job in page.rows]
    more = page.next_cursor is not None
    return answer(
        {"object": "list", "data": data, "has_more": more, "next_cursor": page.next_cursor}
    )


@api.get("/jobs/<job_id>", summary="Read a job", responses={200: JobOut})
def get_job(path: JobPath, query: WaitQuery) -> Response:
    """A job as it stands; with wait, as soon as it is newer than `version`."""
    if query.wait:
        with database().read() as session:
            job = jobs.find(session, tenant(), path.job_id)
        if job.status not in ENDED:
            known = job.version if query.version is None else query.version
            _wait_for_news(path.job_id, known, query.wait)
    with database().read() as session:
        return resource(represent(session, jobs.find(session, tenant(), path.job_id)))


@api.delete("/jobs/<job_id>", summary="Delete a job", responses={204: None, **CONFLICT})
def delete_job(path: JobPath, query: NoQuery) -> Response:
    """Delete a job that has ended, with its history and snapshots."""
    with database().write() as session:
        jobs.delete(session, tenant(), path.job_id)
    return Response(status=204)


@api.post("/jobs/<job_id>/cancel", summary="Cancel a job", responses={202: JobOut, **CONFLICT})
def cancel_job(path: JobPath, query: NoQuery) -> Response:
    """Ask a job to stop for good; asking twice is the same as asking once."""
    return _wish(jobs.cancel, path)


@api.post("/jobs/<job_id>/pause", summary="Pause a job", responses={202: JobOut, **CONFLICT})
def pause_job(path: JobPath, query: NoQuery) -> Response:
    """Ask a job to stop where it is, to go on later exactly from there."""
    return _wish(jobs.pause, path)


@api.post("/jobs/<job_id>/resume", summary="Resume a job", responses={202: JobOut, **CONFLICT})
def resume_job(path: JobPath, query: NoQuery) -> Response:
    """Let a paused job go on."""
    return _wish(jobs.resume, path, ring=True)


@api.post("/jobs/<job_id>/retry", summary="Retry a job", responses={202: JobOut, **CONFLICT})
def retry_job(path: JobPath, query: NoQuery) -> Response:
    """Queue a failed job again."""
    return _wish(jobs.retry, path, ring=True)


@api.get("/jobs/<job_id>/events", summary="List a job's events", responses={200: EventList})
def list_events(path: JobPath, query: EventsQuery) -> Response:
    """What happened to a job, numbered, oldest first; next_cursor is for `after`."""
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
        rows = events.after(session, job.id, query.after, query.limit + 1)
    shown, more = rows[: query.limit], len(rows) > query.limit
    cursor = str(shown[-1].seq) if more else None
    data = [feeds.shown(row) for row in shown]
    return answer({"object": "list", "data": data, "has_more": more, "next_cursor": cursor})


def _submit_one_of_many(raw: dict[str, Any]) -> dict[str, Any]:
    try:
        with database().write() as session:
            checked = submission.read(session, tenant(), raw)
            row = submission.store(session, tenant(), checked)
            job = represent(session, row, checked.network.definition())
    except (Invalid, Busy) as error:
        problem = problems.of_exception(error)
        return {"status": problem["status"], "job": None, "problem": problem}
    return {"status": 202, "job": job, "problem": None}


def _verdict(raw: dict[str, Any]) -> Response:
    with database().read() as session:
        checked = submission.read(session, tenant(), raw, hold=False)
    body = checked.spec
    training = body.training
    presentations = checked.dataset.rows * training.epochs
    dataset = body.dataset if isinstance(body.dataset, str) else "inline"
    estimate = {
        "parameter_count": checked.network.parameter_count,
        "presentations": presentations,
        # Backward takes about twice what forward takes.
        "flops": 3 * checked.network.flops_per_sample * presentations,
    }
    job = checked.resolved(training.model_dump(mode="json"), checked.network.definition(), dataset)
    verdict = {"object": "job_validation", "valid": True, "job": job, "estimate": estimate}
    return answer(verdict)


def _wish(
    wish: Callable[[Session, str, str], JobRow], path: JobPath, *, ring: bool = False
) -> Response:
    """Write a wish down and answer with the job as it was then."""
    with database().write() as session:
        job = represent(session, wish(session, tenant(), path.job_id))
    if ring:
        context().bell.ring()
    return answer(job, 202)


def _wait_for_news(job_id: str, version: int, seconds: float) -> None:
    """Return once the job's version is another, or time is up, or too many wait already."""
    if not _waiting.acquire(blocking=False):
        return
    try:
        deadline = clock.monotonic() + seconds
        while clock.monotonic() < deadline:
            with database().read() as session:
                if jobs.find(session, tenant(), job_id).version != version:
                    return
            clock.sleep(POLL_SECONDS)
    finally:
        _waiting.release()
