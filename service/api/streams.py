"""/v1/jobs/ID/events/stream: what happens to a job, as it happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from backpropd.spec.faults import Fault, Invalid
from backpropd.store import jobs, news
from backpropd.store.database import Database
from backpropd.store.news import Seen
from service.auth import tenant
from service.context import context, database
from service.feeds import KEEP_ALIVE, RETRY, frames, seen_by
from service.handover import STREAM, Opening
from service.openapi import problem
from service.parameters import JobPath, LastEventHeader, NoQuery
from service.problems import Refusal
from service.streams import KEEP_ALIVE_SECONDS, LOOK_SECONDS, TooMany

api = APIBlueprint("streams", __name__, url_prefix="/v1", abp_tags=[Tag(name="Jobs")])

EVENT_STREAM = "text/event-stream"
RETRY_AFTER = {"Retry-After": "5"}


@api.get(
    "/jobs/<job_id>/events/stream",
    summary="Stream a job's events",
    responses={
        200: {
            "description": "Server-Sent Events.",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        },
        204: {"description": "The job has ended, and all was seen: do not ask again."},
        429: problem("So many streams are yours as may be; Retry-After says when to ask again."),
    },
)
def stream_events(path: JobPath, query: NoQuery, header: LastEventHeader) -> Response:
    """What happens to a job, as it happens, until it ends.

    Events are those of `events`, each once, also through reconnects with Last-Event-ID; `progress`
    is the latest state between them, several times a second at most.
    """
    seen = _seen(header.last_event_id)
    with database().read() as session:
        job = jobs.find(session, tenant(), path.job_id)
    found = news.of(database(), job.id, seen)
    if found is not None and found.ended and not found.events:
        return Response(status=204)
    if request.method == "HEAD":
        return Response(content_type=EVENT_STREAM)
    streams = context().streams
    try:
        streams.reserve(tenant())
    except TooMany as error:
        if error.whole:
            detail = "This server has as many open streams as it may."
            raise Refusal(503, "too_many_streams", detail, RETRY_AFTER) from None
        detail = "You have as many open streams as GET /v1/limits allows."
        raise Refusal(429, "too_many_streams", detail, RETRY_AFTER) from None
    request.environ[STREAM] = Opening(tenant(), job.id, seen)
    # What lies between must neither keep it nor collect it.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    body = _waiting(database(), job.id, seen)
    answer = Response(body, headers=headers, content_type=EVENT_STREAM)
    answer.call_on_close(partial(streams.release, tenant()))
    return answer


def _seen(last_event_id: str | None) -> Seen:
    seen = Seen() if last_event_id is None else seen_by(last_event_id)
    if seen is None:
        detail = "This is no id that a stream of events has given."
        raise Invalid([Fault("/Last-Event-ID", "bad_event_id", detail)])
    return seen


def _waiting(db: Database, job_id: str, seen: Seen) -> Iterator[bytes]:
    """The same in the thread of the request: for a server whose socket cannot be taken over."""
    yield RETRY
    written_at = time.monotonic()
    while True:
        found = news.of(db, job_id, seen)
        if found is None:
            return
        told, seen = frames(found, seen)
        if not told and time.monotonic() - written_at > KEEP_ALIVE_SECONDS:
            told = KEEP_ALIVE
        if told:
            written_at = time.monotonic()
            yield told
        if found.ended:
            return
        if found.complete:
            time.sleep(LOOK_SECONDS)
