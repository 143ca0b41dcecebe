"""/v1/workers: who trains what, and who shall stop taking jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from backpropd.store import workers
from backpropd.store.tables import WorkerRow
from service.answers import answer, time
from service.auth import actor
from service.context import database
from service.parameters import NoQuery, WorkerPath
from service.representations import WorkerList, WorkerOut

api = APIBlueprint("workers", __name__, url_prefix="/v1", abp_tags=[Tag(name="Operations")])


@api.get("/workers", summary="List workers", responses={200: WorkerList})
def list_workers(query: NoQuery) -> Response:
    """The workers that were seen in the last thirty seconds, and the jobs they hold."""
    with database().read() as session:
        rows, held = workers.live(session), workers.jobs(session)
    data = [_represent(row, held) for row in rows]
    return answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})


@api.post("/workers/<worker_id>/drain", summary="Drain a worker", responses={202: WorkerOut})
def drain_worker(path: WorkerPath, query: NoQuery) -> Response:
    """Let it hand back what it holds, with checkpoints, and take no job; within seconds."""
    return _wish(path.worker_id, draining=True)


@api.post("/workers/<worker_id>/resume", summary="End a drain", responses={202: WorkerOut})
def resume_worker(path: WorkerPath, query: NoQuery) -> Response:
    """Let it take jobs again."""
    return _wish(path.worker_id, draining=False)


def _wish(worker_id: str, *, draining: bool) -> Response:
    with database().write() as session:
        row = workers.drain(session, worker_id, actor(), draining=draining)
        held = workers.jobs(session)
    return answer(_represent(row, held), 202)


def _represent(row: WorkerRow, held: Mapping[str, list[str]]) -> dict[str, Any]:
    return {
        "object": "worker",
        "id": row.id,
        "host": row.host,
        "version": row.version,
        "queue": row.queue,
        "slots": row.slots,
        "draining": row.draining,
        "jobs": held.get(row.id, []),
        "fenced_writes": row.fenced,
        "seen_at": time(row.seen_at),
    }
