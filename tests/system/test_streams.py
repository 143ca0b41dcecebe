"""Streams on the real server: a thousand at once, killed clients, a killed API."""

from __future__ import annotations

import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backpropd.client import Client, Event
from tests.jobs import iris_job, mazur_job
from tests.stack import Stack

pytestmark = pytest.mark.system

IDLE = 1000
MEBIBYTE = 2**20
MORE_OF_EACH = 64 * 1024  # bytes of memory for a stream, at most


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    stack = Stack(tmp_path / "data")
    yield stack
    stack.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def api(stack: Stack) -> list[psutil.Process]:
    """gunicorn's processes."""
    return [p for p in stack.children() if "service.wsgi:app" in p.cmdline()]


def opened(stack: Stack, job_id: str) -> socket.socket:
    """A stream whose head and first event have come."""
    host, port = stack.address.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=30)
    asked = f"GET /v1/jobs/{job_id}/events/stream HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
    sock.sendall(asked.encode())
    said = b""
    while b"event: moved" not in said:
        part = sock.recv(65536)
        assert part, said
        said += part
    return sock


def test_a_thousand_idle_streams_take_nothing_from_others(stack: Stack) -> None:
    """
    They hold no thread: 32 would be gone with the first 32 of them. Each costs some kilobytes, is
    noticed when its client dies, and still hears the news.
    """
    later = mazur_job() | {"not_before": "2100-01-01T00:00:00Z"}
    job = stack.client.submit(later)
    stack.client.job(job["id"])
    before = sum(process.memory_info().rss for process in api(stack))
    fds = sum(process.num_fds() for process in api(stack))
    streams = [opened(stack, job["id"]) for _ in range(IDLE)]
    grown = sum(process.memory_info().rss for process in api(stack)) - before

    assert grown < IDLE * MORE_OF_EACH
    with Client(stack.address, timeout=10) as client:
        for _ in range(200):
            assert "queued" == client.job(job["id"])["status"]
        other = client.submit(mazur_job(epochs=10))
        assert "succeeded" == client.wait(other["id"])["status"]

    for sock in streams[: IDLE // 2]:
        sock.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        left = sum(process.num_fds() for process in api(stack)) - fds
        if left <= IDLE // 2 + 50:
            break
        time.sleep(0.1)
    assert left <= IDLE // 2 + 50

    stack.client.cancel(job["id"])
    for sock in streams[IDLE // 2 :]:
        said = b""
        while part := sock.recv(65536):
            said += part
        sock.close()
        assert b'"to_status":"cancelled"' in said


def test_a_killed_api_costs_a_watcher_no_event_and_doubles_none(stack: Stack) -> None:
    job = stack.client.submit(iris_job(epochs=4000))
    told: list[Event] = []
    watcher = threading.Thread(target=lambda: told.extend(stack.client.stream(job["id"])))
    watcher.start()
    for _ in range(2):
        time.sleep(0.7)
        for process in api(stack):
            process.send_signal(signal.SIGKILL)
    watcher.join(120)
    assert not watcher.is_alive()
    listed = stack.client.events(job["id"])

    assert listed == [event.data for event in told if event.kind != "progress"]
    epochs = [event.data["epoch"] for event in told if event.kind == "progress"]
    assert sorted(epochs) == epochs
    assert "succeeded" == told[-1].data["to_status"]
