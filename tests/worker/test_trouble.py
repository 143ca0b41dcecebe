"""What a run does when the database, the data or the program itself lets it down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import update

from backpropd.data.builtin import builtin
from backpropd.settings import Settings
from backpropd.store import datasets
from backpropd.store.clock import now
from backpropd.store.database import Database
from backpropd.store.tables import DatasetContentRow, JobRow
from service.app import create_app
from tests.databases import Postgres
from tests.jobs import Fake, claim, find, iris_job, run, runner, submit
from tests.worker.outages import Ailing, ClosedDoor, CutOff, Lock, impatient
from tests.worker.stories import After, assert_same_result, kinds, moves, rescue
from worker.reconciler import Watch


class Patience:
    """A sleep that takes no time, and after the third does something once."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act, self.slept = act, 0

    def __call__(self, seconds: float) -> None:
        self.slept += 1
        if self.slept == 3:
            self.act()


@pytest.fixture
def cut_off(database_url: str) -> Iterator[CutOff]:
    """The database as one worker sees it."""
    database = CutOff(database_url)
    yield database
    database.dispose()


def cut(database: CutOff, how: bool = True) -> None:
    database.cut = how


# The database


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("every", [2, 3])
def test_a_database_that_fails_in_mid_run_costs_no_row_and_no_bit(
    database: Database, database_url: str, after_commit: bool, every: int
) -> None:
    """Also where only the answer to COMMIT is lost: the second try writes nothing twice."""
    undisturbed = run(database, iris_job()).id
    job_id = submit(database, iris_job())
    lease, job = claim(database)
    ailing = Ailing(database_url, every=every, after_commit=after_commit)
    runner(ailing).run(lease, job)
    ailing.dispose()

    assert ailing.failures > 50
    assert 1 == find(database, job_id).attempt
    assert_same_result(database, job_id, undisturbed)


def test_a_run_waits_for_a_lock_however_long_it_is_held(
    database: Database, database_url: str
) -> None:
    undisturbed = run(database, iris_job()).id
    job_id = submit(database, iris_job())
    lease, job = claim(database)
    lock, waiting = Lock(database_url, job_id), impatient(database_url)
    patience = Patience(lock.end)
    patient = runner(waiting, drained=After(50, lock.begin))
    patient.sleep = patience
    patient.run(lease, job)
    waiting.dispose()

    assert 3 == patience.slept
    assert 1 == find(database, job_id).attempt
    assert_same_result(database, job_id, undisturbed)


def test_a_run_outlives_an_outage_of_the_database(postgres: Postgres) -> None:
    """Connections break in mid-run and new ones are refused for a while: real ones."""
    name = postgres.create(postgres.template)
    database = Database(postgres.url(name))
    undisturbed = run(database, iris_job()).id
    job_id = submit(database, iris_job())
    lease, job = claim(database)
    door = ClosedDoor(postgres.url(name))
    patience = Patience(door.end)
    patient = runner(database, drained=After(50, door.begin))
    patient.sleep = patience
    patient.run(lease, job)

    assert patience.slept >= 3
    assert 1 == find(database, job_id).attempt
    assert_same_result(database, job_id, undisturbed)
    database.dispose()
    postgres.drop(name)


def test_a_worker_that_was_cut_off_finds_its_job_done_and_writes_nothing(
    database: Database, cut_off: CutOff
) -> None:
    """It waits for its database without an end, others do not wait for it."""
    undisturbed = run(database, iris_job()).id
    job_id = submit(database, iris_job())

    def meanwhile() -> None:
        rescue(database, job_id)
        runner(database).run(*claim(database, "other"))
        cut(cut_off, False)

    lease, job = claim(database, "lonely")
    lonely = runner(cut_off, drained=After(50, lambda: cut(cut_off)))
    lonely.sleep = Patience(meanwhile)
    lonely.run(lease, job)

    assert ("other", 2) == (find(database, job_id).worker_id, find(database, job_id).attempt)
    assert_same_result(database, job_id, undisturbed)


def test_a_database_that_is_gone_from_the_start_leaves_the_job_to_its_lease(
    database: Database, cut_off: CutOff
) -> None:
    """Nothing can be written down, so nothing is; whoever rescues it finds it as it was."""
    undisturbed = run(database, iris_job()).id
    job_id = submit(database, iris_job())
    lease, job = claim(database)
    cut(cut_off)
    runner(cut_off).run(lease, job)
    left = find(database, job_id)
    clock = Fake()
    watch = Watch(database, lease_seconds=2, clock=clock)
    for _ in range(3):
        watch.look()
        clock.time += 1
    runner(database).run(*claim(database))

    assert ("running", 0) == (left.status, left.beat)
    assert_same_result(database, job_id, undisturbed)


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError()])
def test_an_error_that_cannot_be_written_down_leaves_the_job_to_its_lease(
    database: Database, cut_off: CutOff, error: Exception
) -> None:
    job_id = submit(database, iris_job())
    lease, job = claim(database)

    def fail() -> bool:
        cut(cut_off)
        raise error

    runner(cut_off, drained=fail).run(lease, job)
    left = find(database, job_id).status

    assert "running" == left
    assert "queued" == rescue(database, job_id)


def test_a_run_that_waits_for_its_database_says_that_it_lives(
    database: Database, database_url: str
) -> None:
    """Else the watchdog would take an outage for a hang."""
    submit(database, iris_job(epochs=1))
    lease, job = claim(database)
    ailing = Ailing(database_url, every=2, after_commit=False)
    said: list[str] = []
    waiting = runner(ailing)
    waiting.alive = lambda: said.append("alive")
    waiting.sleep = lambda seconds: said.append("slept")
    waiting.run(lease, job)
    ailing.dispose()

    assert "slept" in said
    assert all(said[index - 1] == "alive" for index, word in enumerate(said) if word == "slept")


# The data


def flip(content: bytes) -> bytes:
    """With one byte in the compressed numbers changed."""
    changed = bytearray(content)
    changed[len(content) // 2] ^= 0xFF
    return bytes(changed)


def cut_short(content: bytes) -> bytes:
    return content[:-100]


def of_another(content: bytes) -> bytes:
    """Whole, but another dataset's: only the checksum tells."""
    other = dataclasses.replace(builtin("iris"), inputs=builtin("iris").inputs + 1)
    return other.to_bytes()


@pytest.mark.parametrize("damage", [flip, cut_short, of_another])
def test_a_damaged_dataset_fails_the_job_before_anything_is_trained(
    database: Database, damage: Callable[[bytes], bytes]
) -> None:
    job_id = submit(database, iris_job())
    dataset_id = find(database, job_id).dataset_id
    with database.write() as session:
        content = datasets.content(session, dataset_id)
        session.execute(
            update(DatasetContentRow)
            .where(DatasetContentRow.dataset_id == dataset_id)
            .values(content=damage(content))
        )
    runner(database).run(*claim(database))
    job = find(database, job_id)

    assert ("failed", 0, 1) == (job.status, job.epoch, job.attempt)
    assert job.error is not None
    assert "dataset_damaged" == job.error["code"]
    assert dataset_id in job.error["detail"]


# The program


def failing(error: Exception) -> Callable[[], bool]:
    """What the runner asks between blocks, failing."""

    def fail() -> bool:
        raise error

    return fail


def attempt(database: Database, job_id: str, error: Exception) -> JobRow:
    runner(database, drained=failing(error)).run(*claim(database))
    return find(database, job_id)


def due(database: Database, job_id: str) -> None:
    """Let the wait after an error be over."""
    with database.write() as session:
        session.get_one(JobRow, job_id).run_after = None


def test_an_unforeseen_error_queues_the_job_again_later(database: Database) -> None:
    job = attempt(database, submit(database, iris_job()), KeyError("secret"))

    assert ("queued", 1, 0) == (job.status, job.errors, job.crashes)
    assert job.run_after is not None
    assert job.run_after > now()


def test_the_third_unforeseen_error_fails_the_job(database: Database) -> None:
    job_id = submit(database, iris_job())
    for _ in range(3):
        due(database, job_id)
        job = attempt(database, job_id, KeyError("x"))

    assert ("failed", 3, 0) == (job.status, job.attempt, job.crashes)
    assert job.error is not None
    assert "internal" == job.error["code"]
    assert ["queued", *["running", "queued"] * 2, "running", "failed"] == moves(database, job_id)


def test_what_went_wrong_inside_is_in_the_log_and_nowhere_else(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A message may quote data, paths or SQL; its class alone is told."""
    job_id = submit(database, iris_job())
    for _ in range(3):
        due(database, job_id)
        attempt(database, job_id, KeyError("/home/secret"))
    client = create_app(Settings(), database=database).test_client()
    told = [client.get(f"/v1/jobs/{job_id}{more}") for more in ("", "/events?limit=100")]

    assert [200, 200] == [answer.status_code for answer in told]
    for answer in told:
        assert "KeyError" in answer.text
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
    assert "Traceback" in caplog.text
    assert "/home/secret" in caplog.text


def test_an_error_that_passes_leaves_no_mark(database: Database) -> None:
    undisturbed = run(database, iris_job()).id
    job_id = submit(database, iris_job())
    attempt(database, job_id, OSError("passing"))
    due(database, job_id)
    runner(database).run(*claim(database))

    assert ["resumed"] == kinds(database, job_id)
    assert 0 == find(database, job_id).errors
    assert_same_result(database, job_id, undisturbed)


def test_too_little_memory_fails_the_job_at_once(database: Database) -> None:
    job = attempt(database, submit(database, iris_job()), MemoryError())

    assert ("failed", "memory") == (job.status, (job.error or {})["code"])
