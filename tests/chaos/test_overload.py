"""Far more requests than the API can serve, and clients that never finish theirs."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.chaos.kit import Plant, Run
from tests.chaos.workload import JOBS

pytestmark = pytest.mark.system

SLOW_CLIENTS = 64
CLIENTS, REQUESTS = 48, 10  # at once, and of each; the API has 32 threads
HALF_A_HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_A_BODY = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"network": '
)
CLEAR = {200, 202, 429, 503}  # done, accepted, or: not now


@contextlib.contextmanager
def slow_clients(address: str) -> Iterator[None]:
    """Connections that have begun a request and say nothing more."""
    url = httpx.URL(address)
    with contextlib.ExitStack() as stack:
        for number in range(SLOW_CLIENTS):
            client = socket.create_connection((url.host, url.port), timeout=30)
            stack.enter_context(client)
            client.sendall(HALF_A_HEAD if number % 2 else HALF_A_BODY)
        yield


def flood(address: str, run: Run, job_id: str) -> Counter[int]:
    """The answers to a crowd of clients that all ask at once."""
    paths = [f"/v1/jobs/{job_id}", "/v1/jobs", f"/v1/jobs/{job_id}/history", "/healthz"]

    def ask(number: int) -> list[int]:
        with httpx.Client(base_url=address, timeout=60) as client:
            answers = [client.get(paths[each % len(paths)]) for each in range(REQUESTS)]
            if number % 8 == 0:
                body = {**JOBS["short"], "tags": {"run": run.name}}
                answers.append(client.post("/v1/jobs", json=body))
                if answers[-1].status_code == 202:
                    run.accepted.append(answers[-1].json()["id"])
        return [answer.status_code for answer in answers]

    with ThreadPoolExecutor(CLIENTS) as threads:
        answered = list(threads.map(ask, range(CLIENTS)))
    run.keys += CLIENTS // 8
    return Counter(status for statuses in answered for status in statuses)


@pytest.mark.parametrize(
    "plant", [pytest.param("sqlite", marks=pytest.mark.xdist_group("chaos-sqlite"))], indirect=True
)
def test_an_overloaded_api_answers_or_refuses_and_disturbs_no_job(plant: Plant, run: Run) -> None:
    long = run.submit_endless()
    before = run.under_way(long)
    with slow_clients(plant.address):
        statuses = flood(plant.address, run, long)
        during = run.under_way(long, epoch=before["progress"]["epoch"] + 1)
    plant.client.cancel(long)
    run.settle()

    assert set(statuses) <= CLEAR
    assert CLIENTS * REQUESTS + CLIENTS // 8 == statuses.total()
    assert 1 == during["attempt"]
