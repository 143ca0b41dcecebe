"""A worker that is frozen in the midst of a transaction keeps its row locked: its own, no other."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select

from backpropd.store.database import Database
from backpropd.store.tables import JobRow
from tests.jobs import Fake, claim, find, mazur_job, submit
from worker.reconciler import Watch


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_locked_job_keeps_nobody_from_the_rescue_of_others(database: Database) -> None:
    """Waiting for the lock would blind the reconciler, and who was blind rescues nobody."""
    locked, lost = submit(database, mazur_job()), submit(database, mazur_job())
    claim(database, "frozen"), claim(database, "lost")
    clock = Fake()
    watch = Watch(database, lease_seconds=10.0, clock=clock)
    for _ in range(10):
        watch.look()
        clock.time += 1.0
    with database.write() as session:
        session.execute(select(JobRow).where(JobRow.id == locked).with_for_update())
        began = time.monotonic()
        watch.look()
        took = time.monotonic() - began
        status = find(database, lost).status
    watch.look()

    assert took < 4  # PostgreSQL waits for a lock for 5 s here
    assert "queued" == status
    assert "queued" == find(database, locked).status
