"""An attempt that is lost, stopped or handed back costs time and no bit of the result."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from backpropd.settings import Settings
from backpropd.spec.base import parse
from backpropd.spec.job import JobSpec
from backpropd.store import events, jobs, snapshots
from backpropd.store.database import Database
from backpropd.store.errors import Fenced
from backpropd.store.tables import LOCAL_TENANT, HistoryChunkRow, SnapshotContentRow, SnapshotRow
from tests.jobs import Fake, claim, find, iris_job, mazur_job, run, runner, submit
from tests.worker.blocks import mazur_blocks
from tests.worker.stories import (
    After,
    assert_same_result,
    checkpoint_epochs,
    kill_after,
    kinds,
    moves,
    rescue,
    rows,
)
from worker.recorder import Recorder


@pytest.fixture
def undisturbed(database: Database) -> str:
    return run(database, iris_job()).id


@pytest.mark.parametrize("blocks", [1, 2, 13, 77, 160])
def test_a_job_whose_worker_is_killed_ends_as_if_nothing_had_been(
    database: Database, undisturbed: str, blocks: int
) -> None:
    """Iris has eight batches an epoch, and a block is one of them: most kills are in mid-epoch."""
    job_id = submit(database, iris_job())
    kill_after(database, blocks)
    assert "queued" == rescue(database, job_id)
    runner(database).run(*claim(database))

    assert_same_result(database, job_id, undisturbed)
    assert ["queued", "running", "queued", "running", "succeeded"] == moves(database, job_id)
    assert ["resumed"] == kinds(database, job_id)


def test_kills_at_any_moments_leave_no_mark(database: Database, undisturbed: str) -> None:
    """Also kills between checkpoints, where finished epochs are computed and compared again."""

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.sampled_from([1e-9, 30.0]))
    def check(kills: list[int], checkpoint_seconds: float) -> None:
        job_id = submit(database, iris_job())
        for blocks in kills:
            kill_after(database, blocks, checkpoint_seconds=checkpoint_seconds)
            if "queued" != rescue(database, job_id):
                with database.write() as session:  # three in a row without a checkpoint
                    jobs.retry(session, LOCAL_TENANT, job_id)
        runner(database).run(*claim(database))

        assert_same_result(database, job_id, undisturbed)
        assert "nondeterminism" not in kinds(database, job_id)

    check()


def test_a_paused_and_resumed_job_ends_as_if_nothing_had_been(
    database: Database, undisturbed: str
) -> None:
    job_id = submit(database, iris_job())

    def pause() -> None:
        with database.write() as session:
            jobs.pause(session, LOCAL_TENANT, job_id)

    runner(database, drained=After(50, pause)).run(*claim(database))
    with database.write() as session:
        jobs.resume(session, LOCAL_TENANT, job_id)
    runner(database).run(*claim(database))

    assert_same_result(database, job_id, undisturbed)
    path = ["queued", "running", "paused", "queued", "running", "succeeded"]
    assert path == moves(database, job_id)


def test_a_drained_worker_hands_its_job_back_without_a_charge(
    database: Database, undisturbed: str
) -> None:
    """No finished batch is done twice: the next attempt begins where this one stopped."""
    job_id = submit(database, iris_job())
    runner(database, drained=After(50, lambda: True)).run(*claim(database))
    waiting = find(database, job_id)
    runner(database).run(*claim(database))

    assert ("queued", 0, 0) == (waiting.status, waiting.crashes, waiting.errors)
    assert 6 == waiting.epoch  # 50 batches of eight an epoch
    assert_same_result(database, job_id, undisturbed)


def test_a_zombie_writes_nothing(database: Database, undisturbed: str) -> None:
    """A worker that stood still while its job was rescued, run and finished by another."""
    job_id = submit(database, iris_job())

    def meanwhile() -> None:
        rescue(database, job_id)
        runner(database).run(*claim(database, "other"))

    runner(database, drained=After(30, meanwhile)).run(*claim(database, "zombie"))
    job = find(database, job_id)

    assert ("other", 2) == (job.worker_id, job.attempt)
    assert_same_result(database, job_id, undisturbed)


def test_an_old_lease_is_fenced_off_before_anything_is_written(database: Database) -> None:
    job_id = submit(database, mazur_job())
    old, job = claim(database)
    rescue(database, job_id)
    claim(database)
    spec = parse(JobSpec, job.spec)
    recorder = Recorder(
        database,
        old,
        spec,
        Settings(beat_seconds=1e-9),
        run_seconds=0.0,
        clock=Fake(1.0),
        sleep=lambda seconds: None,
    )
    block = next(mazur_blocks(epochs=3))
    recorder.keep_initial(block.state)
    before = find(database, job_id).beat
    with pytest.raises(Fenced):
        recorder.take(block)

    assert before == find(database, job_id).beat
    assert 0 == len(rows(database, job_id).at)
    assert [] == checkpoint_epochs(database, job_id)


def damage(database: Database, job_id: str, *, newest: int) -> None:
    """Flip one byte in the newest checkpoints."""
    with database.write() as session:
        for row in snapshots.checkpoints(session, job_id)[:newest]:
            content = bytearray(snapshots.content(session, row))
            content[len(content) // 2] ^= 1
            session.execute(
                update(SnapshotContentRow)
                .where(SnapshotContentRow.snapshot_id == row.id)
                .values(content=bytes(content))
            )


@pytest.mark.parametrize("newest", [1, 2])
def test_a_damaged_checkpoint_is_passed_over(
    database: Database, undisturbed: str, newest: int
) -> None:
    """The one before it serves; where both are damaged, the beginning does."""
    job_id = submit(database, iris_job())
    kill_after(database, 80)
    damage(database, job_id, newest=newest)
    rescue(database, job_id)
    runner(database).run(*claim(database))

    assert_same_result(database, job_id, undisturbed)
    again = ["resumed"] if newest == 1 else []
    assert ["checkpoint_damaged"] * newest + again == kinds(database, job_id)


def test_numbers_that_come_out_otherwise_the_second_time_are_an_event(database: Database) -> None:
    """As from another processor; here somebody wrote into the history what was never computed."""
    job_id = submit(database, mazur_job(epochs=10))
    kill_after(database, 6)
    damage(database, job_id, newest=2)
    with database.write() as session:
        chunk = session.query(HistoryChunkRow).filter_by(job_id=job_id, first=3).one()
        other = session.query(HistoryChunkRow).filter_by(job_id=job_id, first=5).one()
        chunk.payload = other.payload
    rescue(database, job_id)
    runner(database).run(*claim(database))
    with database.read() as session:
        happened = events.after(session, job_id, 0, 100)

    [found] = [event for event in happened if event.kind == "nondeterminism"]
    assert {"epochs": [3]} == found.detail
    assert "succeeded" == find(database, job_id).status
    assert list(range(1, 11)) == rows(database, job_id).at.tolist()


def test_weights_that_come_out_otherwise_the_second_time_are_an_event(database: Database) -> None:
    """The first ones stay: somebody may have read them."""
    job_id = submit(database, iris_job(epochs=12))
    kill_after(database, 90, checkpoint_seconds=1e9)
    with database.write() as session:
        row = session.query(SnapshotRow).filter_by(job_id=job_id, epoch=10, kind="every").one()
        row.sha256 = "0" * 64
    rescue(database, job_id)
    runner(database).run(*claim(database))
    with database.read() as session:
        happened = events.after(session, job_id, 0, 100)
        kept = snapshots.find(session, job_id, 10)

    [found] = [event for event in happened if event.kind == "nondeterminism"]
    assert {"snapshots": [{"kind": "every", "epoch": 10}]} == found.detail
    assert ("0" * 64, 1) == (kept.sha256, kept.attempt)
    assert "succeeded" == find(database, job_id).status


def test_to_go_on_under_other_circumstances_is_recorded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(database, iris_job())
    kill_after(database, 50)
    rescue(database, job_id)
    monkeypatch.setattr("worker.lineage.np.__version__", "0.0.1")
    runner(database).run(*claim(database))
    job = find(database, job_id)

    assert job.lineage is not None
    assert (False, "0.0.1") == (job.lineage["exact"], job.lineage["fingerprint"]["numpy"])
    assert ["resumed", "circumstances_changed"] == kinds(database, job_id)
    assert "succeeded" == job.status


def test_a_job_that_kills_its_workers_fails_after_three(database: Database) -> None:
    job_id = submit(database, iris_job())
    for _ in range(3):
        lease, _job = claim(database)  # and dies before its first checkpoint
        assert lease.job_id == job_id
        rescue(database, job_id)
    job = find(database, job_id)

    assert ("failed", "crash_loop", 3) == (job.status, (job.error or {})["code"], job.attempt)


def test_a_job_that_gets_on_may_lose_any_number_of_workers(
    database: Database, undisturbed: str
) -> None:
    job_id = submit(database, iris_job())
    for _ in range(6):
        kill_after(database, 20)
        assert "queued" == rescue(database, job_id)
    runner(database).run(*claim(database))

    assert_same_result(database, job_id, undisturbed)


def test_a_retried_job_begins_anew_and_ends_as_it_should(
    database: Database, undisturbed: str
) -> None:
    job_id = submit(database, iris_job())
    for _ in range(3):
        claim(database)
        rescue(database, job_id)
    with database.write() as session:
        jobs.retry(session, LOCAL_TENANT, job_id)
    runner(database).run(*claim(database))

    assert 4 == find(database, job_id).attempt
    assert_same_result(database, job_id, undisturbed)
