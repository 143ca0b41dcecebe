"""How long the client goes on asking: a server that restarts, is busy or limits its rate.

A request is repeated only where that cannot do a thing twice: one that never left, one that was
refused before anything was done, or one that the server knows again (an idempotency key, a read).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import httpx

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0
# Refused before anything was begun.
RATE_LIMITED = 429
# The server says so too where it cannot know whether a commit went through.
UNAVAILABLE = 503
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
LOST = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)


def patiently(
    send: Callable[[], httpx.Response],
    *,
    repeatable: bool,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> httpx.Response:
    """The answer to a request, which is sent again for at most so many seconds after it failed.

    `repeatable` says whether a second sending means the same as one. `Retry-After` is honoured;
    where it asks for more patience than there is, the refusal is the answer.
    """
    deadline, pause = None, FIRST_PAUSE_SECONDS
    while True:
        refusal, lost = None, None
        try:
            refusal = send()
            wait = _asked_for(refusal)
            if not _is_passing(refusal, repeatable):
                return refusal
        except LOST as error:
            if not (repeatable or isinstance(error, NEVER_SENT)):
                raise
            lost, wait = error, 0.0
        wait = max(wait, pause * random.uniform(0.5, 1))  # noqa: S311 - so that not all come at once
        now = clock()
        deadline = now + seconds if deadline is None else deadline
        if now + wait > deadline:
            if lost is not None:
                raise lost
            assert refusal is not None
            return refusal
        sleep(wait)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _is_passing(response: httpx.Response, repeatable: bool) -> bool:
    status = response.status_code
    return status == RATE_LIMITED or (repeatable and status == UNAVAILABLE)


def _asked_for(response: httpx.Response) -> float:
    """The seconds of Retry-After; a date, which our server never sends, counts as none."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0
