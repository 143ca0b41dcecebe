"""Claim, fence, rescue: who may write to a job, and who not."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from backpropd.store import events, jobs, leases, snapshots
from backpropd.store.clock import now
from backpropd.store.database import Database
from backpropd.store.errors import Fenced, NotFound, WrongState
from backpropd.store.leases import Lease
from backpropd.store.lifecycle import MOVES, JobStatus, Want
from backpropd.store.snapshots import Kept
from backpropd.store.tables import LOCAL_TENANT, JobRow, TenantRow
from tests.jobs import claim, find, mazur_job, submit


def submit_many(database: Database, *changes: dict[str, Any]) -> list[str]:
    return [submit(database, mazur_job() | change) for change in changes]


def beat(database: Database, lease: Lease, **progress: Any) -> Want:
    with database.write() as session:
        return leases.beat(session, lease, **progress)


def rescue(database: Database, job_id: str, **seen: int) -> JobStatus | None:
    job = find(database, job_id)
    seen = {"attempt": job.attempt, "beat": job.beat} | seen
    with database.write() as session:
        return leases.rescue(session, job_id=job_id, **seen)


def finish(database: Database, lease: Lease, status: JobStatus = JobStatus.SUCCEEDED) -> None:
    with database.write() as session:
        leases.beat(session, lease)
        leases.finish(session, lease, status, reason="test")


def test_a_claim_takes_the_best_job_once(database: Database) -> None:
    low, high, other = submit_many(database, {"priority": 1}, {"priority": 9}, {"priority": 5})

    assert [high, other, low] == [claim(database)[0].job_id for _ in range(3)]
    with database.write() as session:
        assert leases.claim(session, worker_id="w", task_id="t", queue="cpu") is None


def test_a_claim_begins_a_new_attempt(database: Database) -> None:
    job_id = submit(database, mazur_job())
    lease, job = claim(database)

    assert (job_id, 1, 0, "running") == (lease.job_id, lease.attempt, job.beat, job.status)
    assert find(database, job_id).started_at is not None


def test_of_equal_priority_the_owner_with_fewer_running_jobs_goes_first(database: Database) -> None:
    with database.write() as session:
        session.add(TenantRow(id="ten_b", name="b", max_running=9, created_at=now()))
    first, second, third = submit_many(database, {}, {}, {})
    with database.write() as session:
        session.execute(update(JobRow).where(JobRow.id == third).values(tenant_id="ten_b"))

    assert [first, third, second] == [claim(database)[0].job_id for _ in range(3)]


def test_nobody_runs_more_jobs_than_an_owner_may(database: Database) -> None:
    submit_many(database, {}, {})
    with database.write() as session:
        session.execute(update(TenantRow).values(max_running=1))
    claim(database)

    with database.write() as session:
        assert leases.claim(session, worker_id="w", task_id="t", queue="cpu") is None


@pytest.mark.parametrize(
    "change",
    [
        {"run_after": now() + timedelta(hours=1)},
        {"spec_version": 99},
        {"want": "pause"},
        {"queue": "gpu"},
    ],
)
def test_a_job_that_may_not_run_yet_is_not_claimed(
    database: Database, change: dict[str, Any]
) -> None:
    job_id = submit(database, mazur_job())
    with database.write() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**change))

    with database.write() as session:
        assert leases.claim(session, worker_id="w", task_id="t", queue="cpu") is None


def test_twenty_threads_claim_ten_jobs_once_each(database: Database) -> None:
    ids = submit_many(database, *[{}] * 10)
    taken: list[str] = []
    gate = threading.Barrier(20)

    def take() -> None:
        gate.wait()
        with database.write() as session:
            got = leases.claim(session, worker_id="w", task_id="t", queue="cpu")
        if got is not None:
            taken.append(got[0].job_id)

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # A claim that met a locked row may have left empty-handed; the next bell finds it.
    while len(taken) < 10:
        taken.append(claim(database)[0].job_id)
    assert sorted(ids) == sorted(taken)


def test_who_lost_the_lease_writes_nothing(database: Database) -> None:
    job_id = submit(database, mazur_job())
    zombie, _ = claim(database)
    rescue(database, job_id)
    claim(database)
    before = find(database, job_id)

    with pytest.raises(Fenced):
        finish(database, zombie)
    after = find(database, job_id)

    assert (before.status, before.version, before.attempt) == (
        after.status,
        after.version,
        after.attempt,
    )


def test_a_rescue_needs_the_beat_that_was_seen(database: Database) -> None:
    job_id = submit(database, mazur_job())
    lease, job = claim(database)
    beat(database, lease)

    assert rescue(database, job_id, beat=job.beat) is None
    assert find(database, job_id).status == "running"
    assert rescue(database, job_id) == "queued"
    assert find(database, job_id).crashes == 1


def test_three_lost_leases_without_progress_end_the_job(database: Database) -> None:
    job_id = submit(database, mazur_job())
    outcomes = []
    for _ in range(3):
        claim(database)
        outcomes.append(rescue(database, job_id))
    job = find(database, job_id)

    assert ["queued", "queued", "failed"] == outcomes
    assert job.error is not None
    assert job.error["code"] == "crash_loop"
    assert job.attempt == 3


def test_progress_between_crashes_forgives_them(database: Database) -> None:
    job_id = submit(database, mazur_job())
    for epoch in range(1, 6):
        lease, _ = claim(database)
        with database.write() as session:
            leases.beat(session, lease)
            snapshots.keep(session, lease, [Kept("checkpoint", epoch, b"x")])
        assert rescue(database, job_id) == "queued"

    assert find(database, job_id).crashes == 1


@pytest.mark.parametrize(("wish", "expected"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_rescue_honours_the_users_wish(database: Database, wish: str, expected: str) -> None:
    job_id = submit(database, mazur_job())
    claim(database)
    with database.write() as session:
        getattr(jobs, wish)(session, LOCAL_TENANT, job_id)

    assert rescue(database, job_id) == expected


def test_a_dead_process_is_rescued_by_its_task(database: Database) -> None:
    job_id = submit(database, mazur_job())
    claim(database, "w7")
    with database.write() as session:
        assert leases.rescue_task(session, "task-other") is None
        assert leases.rescue_task(session, "task-w7") == "queued"

    assert find(database, job_id).status == "queued"


def test_the_third_unforeseen_error_fails_the_job(database: Database) -> None:
    job_id = submit(database, mazur_job())
    problem = {"code": "internal", "title": "Internal error", "detail": "ValueError"}
    outcomes = []
    for _ in range(3):
        lease, _ = claim(database)
        with database.write() as session:
            leases.beat(session, lease)
            past = now() - timedelta(seconds=1)
            outcomes.append(leases.stumble(session, lease, error=problem, run_after=past))

    assert ["queued", "queued", "failed"] == outcomes
    assert find(database, job_id).error == problem


@pytest.mark.parametrize("source", list(JobStatus))
@pytest.mark.parametrize("target", list(JobStatus))
def test_the_database_itself_refuses_what_is_no_move(
    database: Database, source: JobStatus, target: JobStatus
) -> None:
    job_id = submit(database, mazur_job())
    legal = source == target or target in MOVES.get(source, set())
    with database.write() as session:  # the trigger guards updates; a row can be made anyhow
        session.execute(text("DELETE FROM job_event"))
        table = JobRow.__table__
        row = dict(session.execute(table.select()).mappings().one())
        session.execute(table.delete())
        session.execute(table.insert(), row | {"status": source})

    statement = update(JobRow).where(JobRow.id == job_id).values(status=target)
    if legal:
        with database.write() as session:
            session.execute(statement)
    else:
        with pytest.raises(DBAPIError, match="cannot move"), database.write() as session:
            session.execute(statement)


WISHES = ("cancel", "pause", "resume", "retry")
# From each state: what a wish leads to, or None where it is refused.
OUTCOMES: dict[str, dict[str, str | None]] = {
    "queued": {"cancel": "cancelled", "pause": "paused", "resume": "queued", "retry": "queued"},
    "running": {"cancel": "running", "pause": "running", "resume": "running", "retry": "running"},
    "paused": {"cancel": "cancelled", "pause": "paused", "resume": "queued", "retry": None},
    "succeeded": dict.fromkeys(WISHES),
    "failed": {"cancel": None, "pause": None, "resume": None, "retry": "queued"},
    "cancelled": {"cancel": "cancelled", "pause": None, "resume": None, "retry": None},
}


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("status", list(OUTCOMES))
def test_wishes_lead_where_the_table_says_however_often(
    database: Database, status: str, wish: str
) -> None:
    job_id = submit(database, mazur_job())
    bring_to(database, job_id, status)
    expected = OUTCOMES[status][wish]
    act = getattr(jobs, wish)

    for _ in range(2):
        if expected is None:
            with pytest.raises(WrongState), database.write() as session:
                act(session, LOCAL_TENANT, job_id)
        else:
            with database.write() as session:
                assert act(session, LOCAL_TENANT, job_id).status == expected


def bring_to(database: Database, job_id: str, status: str) -> None:
    if status in ("running", "succeeded", "failed"):
        lease, _ = claim(database)
        if status != "running":
            finish(database, lease, JobStatus(status))
    elif status != "queued":
        with database.write() as session:
            {"paused": jobs.pause, "cancelled": jobs.cancel}[status](session, LOCAL_TENANT, job_id)


def test_a_wish_of_a_running_job_is_heard_with_the_next_beat(database: Database) -> None:
    job_id = submit(database, mazur_job())
    lease, _ = claim(database)
    assert beat(database, lease) is Want.RUN
    with database.write() as session:
        jobs.pause(session, LOCAL_TENANT, job_id)

    assert beat(database, lease) is Want.PAUSE
    with database.write() as session:
        jobs.resume(session, LOCAL_TENANT, job_id)
    assert beat(database, lease) is Want.RUN


def test_events_are_numbered_without_a_gap(database: Database) -> None:
    job_id = submit(database, mazur_job())
    lease, _ = claim(database)
    with database.write() as session:
        jobs.pause(session, LOCAL_TENANT, job_id)
    finish(database, lease, JobStatus.PAUSED)
    with database.read() as session:
        rows = events.after(session, job_id, 0, 100)

    assert [1, 2, 3, 4] == [row.seq for row in rows]
    moves = [(row.from_status, row.to_status) for row in rows if row.kind == "moved"]
    assert [(None, "queued"), ("queued", "running"), ("running", "paused")] == moves


def test_a_foreign_job_is_not_found(database: Database) -> None:
    job_id = submit(database, mazur_job())
    for act in (jobs.find, jobs.cancel, jobs.pause, jobs.resume, jobs.retry, jobs.delete):
        with pytest.raises(NotFound), database.write() as session:
            act(session, "ten_other", job_id)


def test_deleting_a_job_deletes_what_it_kept(database: Database) -> None:
    job_id = submit(database, mazur_job())
    lease, _ = claim(database)
    with pytest.raises(WrongState), database.write() as session:
        jobs.delete(session, LOCAL_TENANT, job_id)
    with database.write() as session:
        leases.beat(session, lease)
        snapshots.keep(session, lease, [Kept("final", 1, b"x")])
        leases.finish(session, lease, JobStatus.SUCCEEDED, reason="test")
    with database.write() as session:
        jobs.delete(session, LOCAL_TENANT, job_id)

    with database.read() as session:
        for table in ("job", "job_event", "snapshot", "snapshot_content"):
            assert session.scalar(text(f"SELECT count(*) FROM {table}")) == 0
