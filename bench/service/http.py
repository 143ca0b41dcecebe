"""A client that costs next to nothing, so that what is measured is the server."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

Call = tuple[str, str, Any]  # method, path, and a body where it has one


class Server:
    """Sends requests on one connection, or on a new one each."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def send(self, call: Call, *, fresh: bool = False) -> bytes:
        """The body of the answer; raises RuntimeError for a refusal."""
        method, path, body = call
        if fresh:
            self.connection.close()
        content = None if body is None else json.dumps(body).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        self.connection.request(method, path, content, headers)
        answer = self.connection.getresponse()
        read = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {read[:300]!r}")
        return read

    def json(self, call: Call) -> Any:
        """The same, parsed."""
        return json.loads(self.send(call))


def until_ready(server: Server, path: str, seconds: float = 90) -> None:
    """Wait for a server that is being started."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            server.send(("GET", path, None))
            return
        except (OSError, http.client.HTTPException, RuntimeError):
            if time.monotonic() > deadline:
                raise
            server.connection.close()
            time.sleep(0.2)


def milliseconds(act: Callable[[], object], rounds: int, seconds: float) -> dict[str, float]:
    """Median and 99th percentile of so many rounds, or of as many as fit into the time."""
    act()
    taken: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(taken) < rounds and (len(taken) < 3 or time.perf_counter() < deadline):
        began = time.perf_counter()
        act()
        taken.append(1000 * (time.perf_counter() - began))
    taken.sort()
    p99 = taken[min(len(taken) - 1, int(0.99 * len(taken)))]
    return {"p50": statistics.median(taken), "p99": p99, "rounds": len(taken)}
