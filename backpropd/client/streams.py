"""Server-Sent Events (WHATWG HTML, section 9.2), read and followed through lost connections."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from backpropd.client.problems import Problem

SILENT_SECONDS = 45.0  # three keep-alive comments that did not come
CONNECT_SECONDS = 10.0
RETRY_SECONDS = (1.0, 15.0)
PASSING = (429, 502, 503, 504)  # refusals that pass, also of a proxy


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: moved, wanted, resumed, ..., or progress, the latest state."""

    id: str
    kind: str
    data: dict[str, Any]


def follow(http: httpx.Client, path: str, last_event_id: str | None) -> Iterator[Event]:
    """The events of a stream; connects again from the last one until the server ends it.

    Raises `Problem` where the server refuses for good, and `httpx.TransportError` where it could
    not be reached at first.
    """
    wait, reached = RETRY_SECONDS[0], False
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx.Timeout(CONNECT_SECONDS, read=SILENT_SECONDS)
        try:
            with http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                if response.is_error and response.status_code not in PASSING:
                    response.read()
                    raise Problem.of(response)
                if response.is_success:
                    reached, before = True, last_event_id
                    for event in read(response.iter_lines()):
                        last_event_id, wait = event.id, RETRY_SECONDS[0]
                        yield event
                    # It has ended: so has the job, or the server goes down. The answer to the next
                    # request says which, and 204 is for a job that has ended.
                    if last_event_id != before:
                        continue
        except httpx.TransportError:
            if not reached:
                raise
        time.sleep(wait)
        wait = min(2 * wait, RETRY_SECONDS[1])


def read(lines: Iterable[str]) -> Iterator[Event]:
    """The events in the lines of a stream; one that was cut off is left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            if name:  # else a comment
                fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Event(fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"]))
        fields = {}
