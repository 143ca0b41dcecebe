"""A job's news as Server-Sent Events: what is sent, and from where a client goes on.

An id is SEQ or SEQ.VERSION: the number of the last durable event, and, of progress, the version of
the job's row that it shows. Both come from rows, so a client that reconnects to any process, also
after a restart, misses no event and gets none twice.
"""

from __future__ import annotations

import json
import re
from typing import Any

from backpropd.export.numbers import json_number
from backpropd.store.news import News, Seen
from backpropd.store.tables import JobEventRow
from service.answers import time

ID = re.compile(r"(\d{1,9})(?:\.(\d{1,15}))?")
RETRY = b"retry: 1000\n\n"  # milliseconds after which a browser asks again
KEEP_ALIVE = b": keep-alive\n\n"
LAYERS = "layers."


def seen_by(last_event_id: str) -> Seen | None:
    """What a client has seen that sends this Last-Event-ID; None where it is none of ours."""
    found = ID.fullmatch(last_event_id.strip())
    return None if found is None else Seen(int(found[1]), int(found[2] or 0))


def frames(news: News, seen: Seen) -> tuple[bytes, Seen]:
    """What a client has not seen, and what it has seen after that.

    Events in their order, then how far the job is; an event that ends the job is the last of all.
    """
    job, seq, version = news.job, seen.seq, seen.version
    events = list(news.events)
    last = events.pop() if events and news.ended else None
    parts: list[bytes] = []
    for event in events:
        seq = event.seq
        parts.append(_frame(seq, version, event.kind, shown(event)))
    if news.complete and job.version > version and job.epoch:
        version = job.version
        parts.append(_frame(seq, version, "progress", _progress(news)))
    if last is not None:
        seq = last.seq
        parts.append(_frame(seq, version, last.kind, shown(last)))
    return b"".join(parts), Seen(seq, version)


def shown(row: JobEventRow) -> dict[str, Any]:
    """An event as the contract shows it."""
    return {
        "object": "event",
        "seq": row.seq,
        "at": time(row.at),
        "kind": row.kind,
        "from_status": row.from_status,
        "to_status": row.to_status,
        "attempt": row.attempt,
        "actor": row.actor,
        "reason": row.reason,
        "detail": row.detail,
    }


def _progress(news: News) -> dict[str, Any]:
    job = news.job
    return {
        "object": "progress",
        "job": job.id,
        "version": job.version,
        "status": job.status,
        "epoch": job.epoch,
        "epochs": job.epochs,
        "fraction": job.epoch / job.epochs,
        "samples_per_second": job.samples_per_second,
        "metrics": {
            row.metric: "NaN" if row.last is None else json_number(row.last)
            for row in news.metrics
            if not row.metric.startswith(LAYERS)
        },
    }


def _frame(seq: int, version: int, kind: str, data: dict[str, Any]) -> bytes:
    id_ = f"{seq}.{version}" if version else str(seq)
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return f"id: {id_}\nevent: {kind}\ndata: {text}\n\n".encode()
