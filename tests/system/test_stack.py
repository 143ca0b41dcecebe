"""The real stack as processes on loopback: it trains, survives a kill, and stops whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backpropd.client import Problem
from tests.jobs import iris_job, mazur_job
from tests.stack import Stack, gone
from tests.system.apart import wait_until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("stack")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stack."""
    return tmp_path_factory.mktemp("stack") / "data"


@pytest.fixture(scope="module")
def stack(data: Path) -> Iterator[Stack]:
    """A running stack; each test leaves it running."""
    stack = Stack(data)
    yield stack
    stack.stop()


def test_mazur_over_http(stack: Stack, mazur: dict[str, Any]) -> None:
    job = stack.finished(stack.client.submit(mazur_job(epochs=10_000)))
    loss = stack.client.history(job["id"], metrics=["loss"])["series"]["loss"]

    assert job["status"] == "succeeded"
    assert len(loss) == 10_000
    for updates in ("0", "1", "2", "10", "100", "1000", "9999"):
        assert loss[int(updates)] == pytest.approx(
            mazur["simultaneous"][updates]["error"], rel=1e-12
        )
    assert job["final"]["loss"] == pytest.approx(mazur["simultaneous"]["10000"]["error"], rel=1e-12)


@pytest.mark.parametrize("victim", ["child", "worker"])
def test_a_killed_workers_job_ends_with_the_same_bits(stack: Stack, victim: str) -> None:
    spec = iris_job(epochs=2000)
    undisturbed = stack.finished(stack.client.submit(spec))
    job = stack.client.submit(spec)
    for seen in stack.client.watch(job["id"]):
        if seen["progress"]["epoch"] > 100:
            break
    parent, *children = stack.trainers()
    for process in children if victim == "child" else [parent]:
        process.kill()
    job = stack.finished(job)

    def final(which: dict[str, Any]) -> str:
        kept = stack.client.snapshots(which["id"])
        return next(str(s["sha256"]) for s in kept if s["kind"] == "final")

    assert job["status"] == "succeeded"
    assert job["attempt"] > 1
    assert final(undisturbed) == final(job)
    assert stack.client.history(job["id"])["epoch"] == list(range(1, 2001))


def test_an_operator_drains_a_worker_over_http(stack: Stack) -> None:
    """
    The job is handed back, uncharged, and waits; and goes on when the worker may.
    """
    job = stack.client.submit(iris_job(epochs=200_000))
    wait_until(lambda: stack.client.job(job["id"])["status"] == "running")
    workers = httpx.get(f"{stack.address}/v1/workers").json()["data"]
    (holder,) = [worker["id"] for worker in workers if worker["jobs"] == [job["id"]]]
    path = f"{stack.address}/v1/workers/{holder}"

    httpx.post(f"{path}/drain")
    wait_until(lambda: stack.client.job(job["id"])["status"] == "queued")
    httpx.post(f"{path}/resume")
    wait_until(lambda: stack.client.job(job["id"])["status"] == "running")
    reasons = [move["reason"] for move in stack.client.job(job["id"])["transitions"]]
    stack.client.cancel(job["id"])

    assert ["submitted", "attempt 1", "its worker goes down", "attempt 2"] == reasons


def test_a_killed_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "data")
    children = stack.children()
    stack.process.kill()
    stack.process.wait(10)
    assert stack.process.stdout is not None
    stack.process.stdout.close()
    stack.client.close()

    assert len(children) > 5
    assert gone(children)


@pytest.mark.usefixtures("stack")
def test_a_second_start_on_the_folder_is_refused(data: Path) -> None:
    command = [sys.executable, "-m", "backpropd.cli", "up", "--port", "0"]
    second = subprocess.run(
        [*command, "--data", str(data)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert second.returncode == 3
    assert "another `backpropd up` runs" in second.stderr


def test_refusals_reach_the_client_with_their_places(stack: Stack) -> None:
    with pytest.raises(Problem) as caught:
        stack.client.submit(mazur_job(epochs=0, loss="nothing"))

    assert caught.value.status == 422
    assert {error["pointer"] for error in caught.value.errors} == {
        "/training/epochs",
        "/training/loss",
    }


def test_a_running_job_is_paused_resumed_and_cancelled(stack: Stack) -> None:
    client = stack.client
    job = client.submit(iris_job(epochs=100_000))
    wait_until(lambda: client.job(job["id"])["progress"]["epoch"] > 10)
    client.pause(job["id"])
    wait_until(lambda: client.job(job["id"])["status"] == "paused")
    client.resume(job["id"])
    wait_until(lambda: client.job(job["id"])["status"] == "running")
    client.cancel(job["id"])
    wait_until(lambda: client.job(job["id"])["status"] == "cancelled")


def test_other_machines_are_refused_without_keys(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backpropd.cli", "up", "--host", "0.0.0.0"]
    refused = subprocess.run(
        [*command, "--data", str(tmp_path)], check=False, capture_output=True, text=True, timeout=60
    )

    assert refused.returncode == 1
    assert "nobody has a key" in refused.stderr


def test_the_demo_shows_the_articles_figures_and_exits_well() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "backpropd.cli", "demo"],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert demo.returncode == 0, demo.stderr
    for figure in ("0.298371109", "0.291027774", "0.291027924", "0.0000351085"):
        assert figure in demo.stdout
    assert "Test accuracy" in demo.stdout
    assert "\x1b" not in demo.stdout  # no colours in what is no terminal


def test_a_worker_compiles_ahead_and_jobs_find_their_kernel(tmp_path: Path) -> None:
    """
    As a user has it: nothing was ever compiled here, and nobody asks for a kernel.
    """
    kernels = {"BACKPROPD_AUTO_KERNELS": "true", "BACKPROPD_KERNELS": str(tmp_path / "kernels")}
    stack = Stack(tmp_path / "data", **kernels)
    try:

        def trained_by() -> str:
            job = stack.finished(stack.client.submit(mazur_job(epochs=10)))
            assert "succeeded" == job["status"]
            return str(job["lineage"]["kernel"]["name"])

        first = trained_by()
        wait_until(lambda: trained_by() == "online", seconds=120)
    finally:
        stack.stop()

    assert "plain" == first
