"""Requests that are lost or refused for the moment: repeated where that doubles nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, Response

from backpropd.client import Client, Problem
from backpropd.client.patience import LONGEST_PAUSE_SECONDS, patiently
from tests.client.place import serving
from tests.jobs import mazur_job
from tests.stack import Stack

ANSWER = httpx.Response(200)


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def sending(*outcomes: httpx.Response | Exception) -> Callable[[], httpx.Response]:
    """A request that comes to these, one after the other."""
    left = iter(outcomes)

    def send() -> httpx.Response:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return send


def busy(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("gone"),
        httpx.ReadTimeout("slow"),
        busy(503),
        busy(429),
    ],
)
def test_what_may_be_repeated_is(failure: httpx.Response | Exception) -> None:
    clock = Clock()
    send = sending(failure, failure, ANSWER)

    assert ANSWER is patiently(send, repeatable=True, seconds=10, clock=clock, sleep=clock.sleep)
    assert 2 == len(clock.slept)


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (httpx.ConnectError("refused"), True),
        (busy(429), True),
        (httpx.ReadError("reset"), False),
        (httpx.RemoteProtocolError("gone"), False),
        (httpx.UnsupportedProtocol("no http://"), False),
        (busy(503), False),
        (busy(500), False),
    ],
)
def test_what_might_be_doubled_is_repeated_where_it_was_never_begun(
    failure: httpx.Response | Exception, again: bool
) -> None:
    clock = Clock()
    send = sending(failure, ANSWER)
    try:
        came = patiently(send, repeatable=False, seconds=10, clock=clock, sleep=clock.sleep)
    except httpx.TransportError:
        came = None

    assert again == (came is ANSWER)


def test_retry_after_is_honoured_as_far_as_patience_goes() -> None:
    clock = Clock()
    send = sending(busy(429, Retry_After="3"), ANSWER)
    patiently(send, repeatable=True, seconds=10, clock=clock, sleep=clock.sleep)

    assert [3.0] == clock.slept
    refusal = busy(429, Retry_After="60")
    assert refusal is patiently(
        sending(refusal), repeatable=True, seconds=10, clock=clock, sleep=clock.sleep
    )
    assert ANSWER is patiently(
        sending(busy(503, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), ANSWER),
        repeatable=True,
        seconds=10,
        clock=clock,
        sleep=clock.sleep,
    )


def test_patience_ends_with_what_went_wrong() -> None:
    clock = Clock()
    failures = [httpx.ConnectError("refused")] * 100
    with pytest.raises(httpx.ConnectError):
        patiently(sending(*failures), repeatable=True, seconds=5, clock=clock, sleep=clock.sleep)

    assert 5 - LONGEST_PAUSE_SECONDS < clock.now <= 5


def test_a_server_that_limits_the_rate_is_asked_again() -> None:
    limited = Flask("limited")
    asked: list[float] = []

    @limited.get("/v1/jobs/<job>")
    def _job(job: str) -> Response | dict[str, Any]:
        asked.append(time.monotonic())
        if len(asked) == 1:
            return Response("{}", 429, {"Retry-After": "1"})
        return {"id": job}

    with serving(limited) as address, Client(address) as client:
        assert {"id": "job_1"} == client.job("job_1")

    assert asked[1] - asked[0] >= 1


def test_an_answer_that_is_no_json_is_a_problem() -> None:
    other = Flask("other")
    other.add_url_rule("/<path:path>", view_func=lambda path: "<h1>It works!</h1>")
    with serving(other) as address, Client(address) as client, pytest.raises(Problem, match="200"):
        client.job("job_1")


@pytest.mark.system
def test_a_server_that_dies_after_its_commit_doubles_no_job(tmp_path: Path) -> None:
    """The process is killed between commit and answer; the client asks the next one again."""
    died = tmp_path / "died"
    stack = Stack(
        tmp_path / "data",
        BACKPROPD_FAILPOINT="after_commit",
        BACKPROPD_FAILPOINT_MARKER=str(died),
    )
    try:
        job = stack.client.submit(mazur_job())

        assert died.exists()
        assert [job["id"]] == [each["id"] for each in stack.client.jobs()]
        assert "succeeded" == stack.client.wait(job["id"])["status"]
    finally:
        stack.stop()


@pytest.mark.system
def test_a_job_is_watched_through_a_restart_of_everything(tmp_path: Path) -> None:
    """Stopped and started again on its port, while a client watches and another submits."""
    stack = Stack(tmp_path / "data")
    port = stack.address.rsplit(":", 1)[1]
    client = Client(stack.address)
    job = client.attach(client.submit(mazur_job(epochs=300_000))["id"])
    watcher = threading.Thread(target=job.wait, kwargs={"check": False})
    watcher.start()
    stack.stop()
    submitted: list[Any] = []
    submitter = threading.Thread(target=lambda: submitted.append(client.submit(mazur_job())))
    submitter.start()
    stack = Stack(tmp_path / "data", port=port)
    try:
        submitter.join(60)
        client.cancel(job.id)
        watcher.join(60)

        assert job.status == "cancelled"
        assert 2 == len(list(client.jobs()))
        assert submitted[0]["id"] in {each["id"] for each in client.jobs()}
    finally:
        client.close()
        stack.stop()
