"""Searches, streams, and small reads beside a thousand of them, over HTTP as a client has them.

python -m bench.serving [sqlite | postgresql] [--jobs 100000]
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil

from backpropd.store import jobs
from backpropd.store.database import Database
from backpropd.store.migrate import upgrade
from backpropd.store.tables import LOCAL_TENANT
from tests.databases import Postgres
from tests.jobs import mazur_job, submit
from tests.seeds import seed

STREAMS = 1000
READS = 400
DELIVERIES = 200
SEARCHES = 25
FILTERS = (
    'metrics.val_loss.min < 0.0005 and tags.t = "a" or metrics.val_loss.min < 0.00005',
    'metrics.val_loss.min < 0.5 and tags.t = "a" or status = "failed"',
    'metrics.val_loss.min < 0.01 and tags.t = "a" or tags."my tag" = "x" and status = "failed"',
    'training.optimizer.name = "none"',
)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="?", default="sqlite", choices=("sqlite", "postgresql"))
    parser.add_argument("--jobs", type=int, default=100_000)
    asked = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        database = Database(stack.enter_context(_place(asked.kind)))
        upgrade(database)
        waiting = submit(database, mazur_job())
        began = time.perf_counter()
        seed(database, asked.jobs, chance=random.Random(1))
        print(f"{asked.kind}, {asked.jobs} jobs, stored in {time.perf_counter() - began:.0f} s")
        server, port = stack.enter_context(_api(str(database.url.render_as_string(False))))
        _searches(port)
        _beside_streams(database, waiting, server, port)
        database.dispose()


def _searches(port: int) -> None:
    for words in FILTERS:
        path = f"/v1/jobs?limit=50&filter={quote(words)}"
        print(f"search          {_spread(_timed(port, path, SEARCHES))}  {words}")


def _beside_streams(database: Database, job_id: str, server: psutil.Process, port: int) -> None:
    path = f"/v1/jobs/{job_id}"  # it waits behind the seeded ones, which reading it counts
    print(f"read, 0 open    {_spread(_timed(port, path, READS))}")
    before = _memory(server)
    streams = [_stream(port, job_id) for _ in range(STREAMS)]
    each = (_memory(server) - before) / STREAMS / 1024
    print(f"read, {STREAMS} open {_spread(_timed(port, path, READS))}  {each:.1f} KiB a stream")
    for sock in streams:
        sock.close()
    print(f"read, 0 open    {_spread(_timed(port, path, READS))}")
    other = submit(database, mazur_job())
    idle = [_stream(port, job_id) for _ in range(STREAMS)]
    print(f"delivery, {STREAMS} others open {_spread(_deliveries(database, other, port))}")
    for sock in idle:
        sock.close()


def _deliveries(database: Database, job_id: str, port: int) -> list[float]:
    """Seconds from a commit until its event is read."""
    sock = _stream(port, job_id)
    arrived: list[float] = []

    def listen() -> None:
        with sock.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"event: moved"):
                    arrived.append(time.perf_counter())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    committed: list[float] = []
    for turn in range(DELIVERIES):
        with database.write() as session:
            (jobs.resume if turn % 2 else jobs.pause)(session, LOCAL_TENANT, job_id)
        committed.append(time.perf_counter())
        time.sleep(random.uniform(0.06, 0.12))
    sock.shutdown(socket.SHUT_RDWR)
    listener.join(5)
    assert len(arrived) == len(committed), (len(arrived), len(committed))
    return [there - here for here, there in zip(committed, arrived, strict=True)]


def _timed(port: int, path: str, times: int) -> list[float]:
    """Seconds of each of some requests on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        taken.append(time.perf_counter() - began)
        assert answer.status == 200, body
    connection.close()
    return taken


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    return f"p50 {p50 * 1e3:6.2f} ms  p99 {p99 * 1e3:6.2f} ms"


def _stream(port: int, job_id: str) -> socket.socket:
    """A stream that has told its first event."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    asked = f"GET /v1/jobs/{job_id}/events/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    sock.sendall(asked.encode())
    said = b""
    while b"event: moved" not in said:
        part = sock.recv(65536)
        assert part, said
        said += part
    return sock


def _memory(server: psutil.Process) -> int:
    return sum(p.memory_info().rss for p in [server, *server.children(recursive=True)])


@contextmanager
def _place(kind: str) -> Iterator[str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'bench.sqlite'}"
        return
    server = Postgres()
    yield server.url(server.create())
    server.stop()


@contextmanager
def _api(database_url: str) -> Iterator[tuple[psutil.Process, int]]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    environment = os.environ | {
        "BACKPROPD_DATABASE_URL": database_url,
        "BACKPROPD_BROKER_URL": "redis://127.0.0.1:1/0",  # nobody is to be rung for
    }
    command = [sys.executable, "-m", "backpropd.cli", "api", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until(lambda: _answers(port))
            yield psutil.Process(process.pid), port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


if __name__ == "__main__":
    main()
