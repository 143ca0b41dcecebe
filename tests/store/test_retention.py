"""Retention: what is over for long enough is deleted, what is not stays, and space comes back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from backpropd.store import events, history, snapshots
from backpropd.store.clock import now
from backpropd.store.database import Database
from backpropd.store.retention import Policy, expire
from backpropd.store.tables import JobRow
from tests.jobs import find, iris_job, mazur_job, run, submit
from worker.reconciler import PURGE_SECONDS, Keeper


def ended(database: Database, *, days: float, **job: Any) -> str:
    """A job that ended so many days ago."""
    job_id = run(database, iris_job(epochs=12) | job).id
    with database.write() as session:
        at = now() - timedelta(days=days)
        session.execute(update(JobRow).where(JobRow.id == job_id).values(finished_at=at))
    return job_id


def ids(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(select(JobRow.id)))


def kinds(database: Database, job_id: str) -> set[str]:
    with database.read() as session:
        kept = {row.kind for row in snapshots.all_of(session, job_id)}
        return kept | {row.kind for row in snapshots.checkpoints(session, job_id)}


def test_without_a_policy_everything_is_kept(database: Database) -> None:
    job_id = ended(database, days=10_000)

    assert 0 == expire(database, Policy())
    assert {job_id} == ids(database)


def test_a_job_goes_when_its_days_are_over(database: Database) -> None:
    old, young = ended(database, days=31), ended(database, days=29)
    waiting = submit(database, mazur_job())

    assert 1 == expire(database, Policy(days=30))
    assert {young, waiting} == ids(database)
    assert 0 == expire(database, Policy(days=30))
    assert old not in ids(database)


def test_the_shorter_of_two_wishes_holds(database: Database) -> None:
    soon = ended(database, days=5, retention={"days": 4})
    later = ended(database, days=5, retention={"days": 100})
    operators = ended(database, days=50, retention={"days": 100})

    assert 2 == expire(database, Policy(days=40))
    assert {later} == ids(database)
    assert soon != operators


def test_parts_go_and_the_rest_stays(database: Database) -> None:
    job_id = ended(database, days=5, retention={"history_days": 2})
    version = find(database, job_id).version
    assert {"initial", "every", "best", "final", "checkpoint"} == kinds(database, job_id)
    policy = Policy(snapshots_days=3, checkpoints_days=6)

    assert 2 == expire(database, policy)
    assert {"final", "checkpoint"} == kinds(database, job_id)
    with database.read() as session:
        assert 0 == history.last_row(session, job_id)
        assert history.summaries(session, [job_id])[job_id]
        told = [e.reason for e in events.after(session, job_id, 0, 100) if e.kind == "expired"]
    assert ["history", "snapshots"] == [word for each in told for word in each.split() if word in
                                        ("history", "snapshots")]  # fmt: skip
    assert version + 2 == find(database, job_id).version
    assert 0 == expire(database, policy)


def test_so_many_jobs_of_an_owner_are_kept(database: Database) -> None:
    old = [ended(database, days=20 - n) for n in range(4)]
    unended = submit(database, mazur_job())

    assert 2 == expire(database, Policy(jobs=2))
    assert {*old[2:], unended} == ids(database)


def test_a_job_that_another_one_waits_for_stays(database: Database) -> None:
    first = ended(database, days=20)
    submit(database, mazur_job() | {"after": [first]})

    assert 0 == expire(database, Policy(days=1))
    assert first in ids(database)


def test_more_jobs_than_a_transaction_takes(database: Database) -> None:
    for _ in range(3):
        ended(database, days=9)
    with pytest.MonkeyPatch.context() as patch:
        from backpropd.store import retention

        patch.setattr(retention, "AT_ONCE", 1)
        assert 3 == expire(database, Policy(days=1))
    assert set() == ids(database)


def test_the_file_shrinks(tmp_path: Path) -> None:
    from backpropd.store.migrate import upgrade

    file = tmp_path / "shrinks.sqlite"
    database = Database(f"sqlite:///{file}")
    upgrade(database)
    for _ in range(3):
        ended(database, days=9, snapshots={"every": 1, "best": None})
    with database.write_engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    pages = _pages(database)
    expire(database, Policy(days=1))

    assert _pages(database) < pages
    with database.read() as session:
        assert 0 == session.scalar(select(func.count()).select_from(JobRow))
    database.dispose()


def _pages(database: Database) -> int:
    with database.read() as session:
        return int(session.connection().exec_driver_sql("PRAGMA page_count").scalar() or 0)


def test_the_reconciler_goes_round_now_and_then(database: Database) -> None:
    instant = 0.0
    keeper = Keeper(database, Policy(days=1), clock=lambda: instant)
    ended(database, days=2)
    keeper.go_round()
    assert set() == ids(database)
    later = ended(database, days=2)
    keeper.go_round()
    assert {later} == ids(database)
    instant = PURGE_SECONDS
    keeper.go_round()
    assert set() == ids(database)
