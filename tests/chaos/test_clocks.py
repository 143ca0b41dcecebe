"""Wall clocks that jump: no lease depends on one, so no job may notice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.clocks import Clock, library
from tests.chaos.conftest import DATABASES
from tests.chaos.faults import Server
from tests.chaos.kit import Plant, Run, apart, standing
from tests.databases import need

pytestmark = pytest.mark.system

DAY = 24 * 3600
LOOK_SECONDS = 1.2  # a reconciler looks each second


@pytest.fixture
def clocks(tmp_path: Path) -> dict[str, Clock]:
    """The clock of each role."""
    if library() is None:
        pytest.skip("no libfaketime for this machine")
    names = ("api", "reconciler", "worker-1", "worker-2")
    return {name: Clock(tmp_path / f"{name}.clock") for name in names}


@pytest.fixture(params=DATABASES)
def jumping(
    request: pytest.FixtureRequest, tmp_path: Path, clocks: dict[str, Clock]
) -> Iterator[Plant]:
    """A plant whose processes have these clocks."""
    need("redis")
    url = f"sqlite:///{tmp_path / 'plant.sqlite'}"
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("server")
        url = server.url(server.create())

    def dress(name: str, environment: dict[str, str]) -> dict[str, str]:
        return environment | (clocks[name].environment if name in clocks else {})

    with standing(apart(tmp_path / "plant", url, dress=dress)) as plant:
        yield plant


def test_jobs_and_rescues_take_no_notice_of_clocks(
    jumping: Plant, clocks: dict[str, Clock]
) -> None:
    """Each process's clock in turn is a day ahead, then minutes behind, then right again."""
    run = Run(jumping)
    long = run.submit_endless()
    run.under_way(long, epoch=1)
    for clock in clocks.values():
        for seconds in (DAY, -900):
            clock.step(seconds)
            run.submit("short")
            time.sleep(LOOK_SECONDS)
        clock.step(0)
    undisturbed = run.job(long)
    faults.kill_worker(jumping, faults.busy(jumping)[0])
    time.sleep(LOOK_SECONDS)  # the reconciler has seen the beat that is the last one
    clocks["reconciler"].step(-900)
    run.under_way(long, attempt=2, epoch=0)
    jumping.client.cancel(long)
    run.settle()
    jobs = [run.job(job_id) for job_id in run.accepted[1:]]

    assert 1 == undisturbed["attempt"]
    assert {1} == {job["attempt"] for job in jobs}
    for instant in ("created_at", "started_at"):  # by the API's clock, and by a worker's
        told = [datetime.fromisoformat(job[instant]) for job in jobs]
        assert max(told) - min(told) > timedelta(hours=23)
