"""Who is next: priority, ageing, fairness, dates and dependencies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from backpropd.store import dependencies, jobs, leases, queueing, workers
from backpropd.store.clock import now
from backpropd.store.database import Database
from backpropd.store.errors import InUse
from backpropd.store.lifecycle import JobStatus
from backpropd.store.tables import LOCAL_TENANT, JobRow, TenantRow
from tests.jobs import claim, find, mazur_job, submit


def job(**changes: Any) -> dict[str, Any]:
    return {**mazur_job(epochs=5), **changes}


def claimed(database: Database) -> str | None:
    with database.write() as session:
        found = leases.claim(session, worker_id="w", task_id="t", queue="cpu")
    return None if found is None else found[1].id


def change(database: Database, job_id: str, **values: Any) -> None:
    with database.write() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**values))


def end(database: Database, job_id: str, status: JobStatus) -> None:
    """Run a job to this end."""
    lease, row = claim(database)
    assert row.id == job_id
    with database.write() as session:
        leases.beat(session, lease)
        leases.finish(session, lease, status, reason="for the test")


def positions(database: Database, *ids: str) -> list[int | None]:
    with database.read() as session:
        return [queueing.position(session, find(database, job_id)) for job_id in ids]


def test_priority_goes_first_then_age(database: Database) -> None:
    low, usual, high = (submit(database, job(priority=p)) for p in (1, 5, 9))
    another = submit(database, job())

    assert positions(database, high, usual, another, low) == [1, 2, 3, 4]
    assert [claimed(database) for _ in range(5)] == [high, usual, another, low, None]


def test_a_job_rises_while_it_waits(database: Database) -> None:
    """
    A level of priority in ten minutes: nothing waits for ever behind newer jobs.
    """
    old = submit(database, job(priority=4))
    new = submit(database, job(priority=5))
    change(database, old, created_at=now() - timedelta(minutes=9))
    assert positions(database, new, old) == [1, 2]

    change(database, old, created_at=now() - timedelta(minutes=21))

    assert positions(database, old, new) == [1, 2]
    assert claimed(database) == old


def test_the_owner_with_fewer_running_jobs_goes_first(database: Database) -> None:
    with database.write() as session:
        session.add(TenantRow(id="ten_b", name="b", max_running=2, created_at=now()))
    mine = [submit(database, job()) for _ in range(3)]
    theirs = [submit(database, job()) for _ in range(3)]
    for job_id in theirs:
        change(database, job_id, tenant_id="ten_b")

    order = [claimed(database) for _ in range(6)]

    assert order == [mine[0], theirs[0], mine[1], theirs[1], mine[2], None]


def test_not_before_its_date(database: Database) -> None:
    early = submit(database, job(not_before=(now() + timedelta(hours=1)).isoformat()))
    past = submit(database, job(not_before=(now() - timedelta(hours=1)).isoformat()))

    assert positions(database, early, past) == [None, 1]
    assert [claimed(database), claimed(database)] == [past, None]
    change(database, early, run_after=now())
    assert claimed(database) == early


def test_a_job_waits_for_the_ones_before_it(database: Database) -> None:
    first, second = submit(database, job()), submit(database, job())
    third = submit(database, job(after=[first, second], priority=9))
    with database.read() as session:
        assert list(dependencies.waiting_for(session, third)) == sorted([first, second])
    assert positions(database, third) == [None]

    end(database, first, JobStatus.SUCCEEDED)
    end(database, second, JobStatus.SUCCEEDED)

    assert positions(database, third) == [1]
    assert claimed(database) == third


@pytest.mark.parametrize("how", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_who_waits_in_vain_is_cancelled_with_its_reason(database: Database, how: JobStatus) -> None:
    """
    And so are those who wait for it in turn; who said on_failure "run" runs.
    """
    first = submit(database, job())
    second = submit(database, job(after=[first]))
    third = submit(database, job(after=[second]))
    undaunted = submit(database, job(after=[first], on_failure="run"))
    if how is JobStatus.FAILED:
        end(database, first, how)
    else:
        with database.write() as session:
            jobs.cancel(session, LOCAL_TENANT, first)

    for _ in range(3):
        with database.read() as session:
            vain = dependencies.in_vain(session)
        with database.write() as session:
            assert bool(dependencies.settle(session)) == vain

    assert [find(database, each).status for each in (second, third)] == ["cancelled"] * 2
    assert claimed(database) == undaunted
    assert claimed(database) is None


def test_a_job_that_others_wait_for_stays(database: Database) -> None:
    first = submit(database, job())
    second = submit(database, job(after=[first], priority=0))
    end(database, first, JobStatus.SUCCEEDED)

    with pytest.raises(InUse, match=second), database.write() as session:
        jobs.delete(session, LOCAL_TENANT, first)


def test_when_a_job_may_start(database: Database) -> None:
    """
    Nothing is said without a worker, and nothing without a job to judge by.
    """
    waiting = [submit(database, job()) for _ in range(4)]

    def starts(index: int) -> Any:
        with database.read() as session:
            row = find(database, waiting[index])
            return queueing.starts_at(session, row, queueing.position(session, row))

    assert starts(3) is None
    with database.write() as session:
        workers.seen(session, "w", host="h", version="1", queue="cpu", slots=2)
    assert starts(1) <= now()
    assert starts(3) is None
    done = waiting.pop(0)
    end(database, done, JobStatus.SUCCEEDED)
    change(database, done, run_seconds=100.0)
    assert claimed(database) == waiting.pop(0)

    assert starts(0) <= now()
    assert 90 < (starts(1) - now()).total_seconds() <= 100
