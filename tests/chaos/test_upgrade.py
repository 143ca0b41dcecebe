"""A migration under running workers: they go on, and none begins on a schema unknown to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.kit import Plant, Run
from tests.chaos.upgrade import next_schema

pytestmark = pytest.mark.system


def test_running_programs_go_on_across_a_migration_that_adds(
    plant: Plant, run: Run, tmp_path: Path
) -> None:
    """They are the older ones then; a worker that starts only now refuses, and writes nothing."""
    long = run.submit_endless()
    run.under_way(long)
    with next_schema(plant.database_url, tmp_path):
        run.submit("momentum")
        busy, _ = faults.busy(plant)
        idle = next(name for name in plant.workers if name != busy)
        during = run.under_way(long, epoch=run.job(long)["progress"]["epoch"] + 1)
        plant.wait_until(lambda: run.job(run.accepted[-1])["status"] == "succeeded", "end")
        plant.hold(idle)
        refused = plant.start_once(idle)
    plant.release(idle)
    plant.wait_until(plant.all_listen, "worker that knows its schema again")
    plant.client.cancel(long)
    run.settle()

    assert 1 == during["attempt"]
    assert 0 != refused.returncode
    assert b"another schema" in refused.stdout
