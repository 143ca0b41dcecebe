"""The processes apart, on PostgreSQL and a broker over TCP: what the embedded stack does too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backpropd.client import Client
from tests.databases import need
from tests.jobs import iris_job
from tests.stack import Stack
from tests.system.apart import (
    PASSWORDS,
    PROCESSES,
    BrokerOverTcp,
    Deployment,
    PostgresOverTcp,
    free_port,
    wait_until,
)

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("apart")]

# Five on a machine with nothing else to do. That the job is handed back shows what matters, that
# nobody waited for its end.
STOP_SECONDS = 30


@pytest.fixture(scope="module")
def postgres_over_tcp() -> Iterator[PostgresOverTcp]:
    """PostgreSQL as in docker-compose.yml, on loopback."""
    need("postgresql")
    server = PostgresOverTcp()
    wait_until(server.healthy, "PostgreSQL is not healthy")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def broker_over_tcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerOverTcp]:
    """Redis as in docker-compose.yml, on loopback."""
    need("redis")
    server = BrokerOverTcp(tmp_path_factory.mktemp("broker"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def deployment(
    postgres_over_tcp: PostgresOverTcp,
    broker_over_tcp: BrokerOverTcp,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """Every process of docker-compose.yml; each test leaves all of them running."""
    url = postgres_over_tcp.create()
    deployment = Deployment(tmp_path_factory.mktemp("apart"), url, broker_over_tcp.url)
    migrated = deployment.run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    deployment.start(*PROCESSES)
    deployment.wait()
    yield deployment
    deployment.stop()


@pytest.fixture
def bare(
    postgres_over_tcp: PostgresOverTcp, broker_over_tcp: BrokerOverTcp, tmp_path: Path
) -> Iterator[Deployment]:
    """A deployment of which nothing runs, on a database that nobody migrated."""
    deployment = Deployment(tmp_path, postgres_over_tcp.create(), broker_over_tcp.url)
    yield deployment
    deployment.stop()


def result(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """All that a job's user can read of its numbers."""
    return {
        "weights": client.weights(job["id"])["weights"],
        "history": client.history(job["id"])["series"],
        "snapshots": [
            (kept["kind"], kept["epoch"], kept["sha256"]) for kept in client.snapshots(job["id"])
        ],
    }


def begun(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job once it is well under way."""
    for seen in client.watch(job["id"]):
        assert seen["status"] in ("queued", "running"), seen
        if seen["progress"]["epoch"] > 100:
            return seen
    raise AssertionError


@pytest.fixture(scope="module")
def undisturbed(deployment: Deployment) -> dict[str, Any]:
    """What a long job comes to when nothing happens to it."""
    return result(deployment.client, deployment.client.wait(submitted(deployment)["id"]))


def submitted(deployment: Deployment) -> dict[str, Any]:
    """A job that is long enough for something to happen to it."""
    return deployment.client.submit(iris_job(epochs=800))


def test_a_job_ends_with_the_same_bits_as_on_the_embedded_stack(
    deployment: Deployment, tmp_path: Path
) -> None:
    stack = Stack(tmp_path / "data")
    try:
        there = stack.client.wait(stack.client.submit(iris_job(epochs=300))["id"])
        expected = result(stack.client, there)
    finally:
        stack.stop()
    here = deployment.client.wait(deployment.client.submit(iris_job(epochs=300))["id"])

    assert ("succeeded", "succeeded") == (there["status"], here["status"])
    assert there["lineage"] == here["lineage"]
    assert expected == result(deployment.client, here)


def test_a_killed_workers_job_ends_with_the_same_bits(
    deployment: Deployment, undisturbed: dict[str, Any]
) -> None:
    """Parent and children at once, so that nobody is left to tell; the lease goes stale."""
    client = deployment.client
    job = begun(client, submitted(deployment))
    deployment.kill("worker")
    wait_until(lambda: client.job(job["id"])["status"] == "queued", "nobody rescued the job")
    deployment.start("worker")
    job = client.wait(job["id"])

    assert ("succeeded", 2) == (job["status"], job["attempt"])
    assert undisturbed == result(client, job)


def test_each_process_ends_well_in_time_when_told_to_in_the_middle_of_a_job(
    deployment: Deployment, undisturbed: dict[str, Any]
) -> None:
    """And nothing is lost: the job waits for the next worker, and ends as it should."""
    client = deployment.client
    job = begun(client, submitted(deployment))
    statuses = {service: deployment.terminate(service, STOP_SECONDS) for service in PROCESSES[1:]}
    given_back = client.job(job["id"])
    statuses["api"] = deployment.terminate("api", STOP_SECONDS)
    deployment.start(*PROCESSES)
    deployment.wait()
    job = client.wait(job["id"])

    assert dict.fromkeys(PROCESSES, 0) == statuses
    assert "queued" == given_back["status"]
    assert "its worker goes down" == given_back["transitions"][-1]["reason"]
    assert ("succeeded", 2) == (job["status"], job["attempt"])
    assert undisturbed == result(client, job)


def test_no_process_runs_on_a_database_without_the_schema(bare: Deployment) -> None:
    for service in PROCESSES:
        refused = bare.run(service)

        assert 1 == refused.returncode
        assert "run `backpropd migrate`" in refused.stderr
        assert "***" in refused.stderr
        assert PASSWORDS["BACKPROPD_POSTGRES_PASSWORD"] not in refused.stderr


def test_a_migration_may_be_repeated(bare: Deployment) -> None:
    first, second = bare.run("migrate"), bare.run("migrate")

    assert (0, 0) == (first.returncode, second.returncode)
    assert first.stdout == second.stdout
    assert PASSWORDS["BACKPROPD_POSTGRES_PASSWORD"] not in first.stdout + first.stderr


@pytest.mark.parametrize("wrong", ["port", "password"])
@pytest.mark.parametrize("service", ["migrate", "api"])
def test_a_database_that_does_not_let_in_is_named(
    bare: Deployment, wrong: str, service: str
) -> None:
    url = bare.database_url
    if wrong == "port":
        url = url.replace(url.rpartition(":")[2].partition("/")[0], str(free_port()))
    else:
        url = url.replace(PASSWORDS["BACKPROPD_POSTGRES_PASSWORD"], "another")
    bare.environment["BACKPROPD_DATABASE_URL"] = url
    refused = bare.run(service)

    assert 1 == refused.returncode
    assert "no answer from postgresql+psycopg://backpropd:***@127.0.0.1" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_job_trains_on_the_broker_of_last_resort(tmp_path: Path) -> None:
    """Kombu's SQL transport in a file, where no Redis is to be had."""
    broker = f"sqla+sqlite:///{tmp_path / 'broker.sqlite'}"
    stack = Stack(tmp_path / "data", BACKPROPD_BROKER_URL=broker)
    try:
        job = stack.client.wait(stack.client.submit(iris_job())["id"])
    finally:
        stack.stop()

    assert "succeeded" == job["status"]
