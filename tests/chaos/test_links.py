"""Links that swallow packets: a connection is dead, and neither end is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.faults import Server
from tests.chaos.kit import LEASE_SECONDS, Run, apart, standing
from tests.chaos.links import Link
from tests.databases import need

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("chaos-postgresql")]

BROKER = "broker"


class Wired:
    """A plant, and the links between its processes and what they connect to."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.server, self.name = server, server.create()
        self.links: dict[str, Link] = {}
        # A file has no link that could die, and a port leads nowhere else than a socket does.
        url = server.url(self.name)
        self.plant = apart(folder, url, broker="private", dress=self.dress)

    def dress(self, name: str, environment: dict[str, str]) -> dict[str, str]:
        """Every role reaches the database by a link of its own, and the broker by a common one."""
        if name == BROKER:
            return environment
        socket = environment["BACKPROPD_BROKER_URL"].removeprefix("redis+socket://")
        broker = self.links.setdefault(BROKER, Link(Path(socket)))
        database = self.links[name] = Link(self.server.folder / ".s.PGSQL.5432")
        place = f"127.0.0.1:{database.port}/{self.name}?sslmode=disable&gssencmode=disable"
        return environment | {
            "BACKPROPD_BROKER_URL": f"redis://127.0.0.1:{broker.port}/0",
            "BACKPROPD_DATABASE_URL": f"postgresql://postgres@{place}",
        }

    def close(self) -> None:
        """No link any more."""
        for link in self.links.values():
            link.close()


@pytest.fixture(scope="module")
def wired(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    """Two workers, API and reconciler, each behind links."""
    need("redis")
    wired = Wired(tmp_path_factory.mktemp("wired"), server)
    with standing(wired.plant):
        yield wired
    wired.close()


def test_a_dead_link_to_the_broker_costs_bells_and_no_work(wired: Wired) -> None:
    """Workers that went deaf hear again, without anybody's help."""
    plant, run = wired.plant, Run(wired.plant)
    long = run.submit_endless()
    before = run.under_way(long)
    wired.links[BROKER].swallow()
    deaf = run.submit("short")
    time.sleep(LEASE_SECONDS)
    during = run.job(long)
    wired.links[BROKER].heal()
    plant.wait_until(lambda: run.job(deaf)["status"] == "succeeded", "worker that hears again")
    plant.client.cancel(long)
    run.settle()

    assert during["progress"]["epoch"] > before["progress"]["epoch"]
    assert {1} == {run.job(job_id)["attempt"] for job_id in (long, deaf)}


def test_a_worker_with_a_dead_link_to_the_database_loses_its_job_and_comes_back(
    wired: Wired,
) -> None:
    plant, run = wired.plant, Run(wired.plant)
    job_id = run.submit("adam")
    run.under_way(job_id)
    cut_off, _ = faults.busy(plant)
    other = next(name for name in plant.workers if name != cut_off)
    wired.links[cut_off].swallow()
    plant.wait_until(lambda: run.job(job_id)["status"] == "succeeded", "rescue")
    plant.hold(other)
    wired.links[cut_off].heal()
    later = run.submit("short")
    plant.wait_until(lambda: run.job(later)["status"] == "succeeded", "the worker that was cut off")
    plant.release(other)
    run.settle()

    assert run.job(job_id)["attempt"] > 1


def test_when_every_link_to_the_database_was_dead_all_come_back(wired: Wired) -> None:
    """API, workers and reconciler have nothing but dead connections."""
    run = Run(wired.plant)
    run.under_way(run.submit("momentum"))
    links = [link for name, link in wired.links.items() if name != BROKER]
    for link in links:
        link.swallow()
    time.sleep(LEASE_SECONDS)
    for link in links:
        link.heal()
    run.submit("short")

    assert 2 == run.settle().identical
