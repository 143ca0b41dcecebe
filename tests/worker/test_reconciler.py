"""Rescue by observation and ringing again, with a clock that moves when the test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from backpropd.store import jobs, leases, workers
from backpropd.store.database import Database
from backpropd.store.errors import Busy
from backpropd.store.leases import Lease
from backpropd.store.tables import LOCAL_TENANT, WorkerRow
from tests.jobs import Fake, claim, find, mazur_job, submit
from worker.reconciler import BLIND_SECONDS, Ringer, Watch, repeat

LEASE_SECONDS = 10.0


@pytest.fixture
def clock() -> Fake:
    return Fake()


@pytest.fixture
def watch(database: Database, clock: Fake) -> Watch:
    return Watch(database, lease_seconds=LEASE_SECONDS, clock=clock)


def look_for(watch: Watch, clock: Fake, seconds: float, *, each: Callable[[], Any] = int) -> None:
    """Poll each second for so long."""
    for _ in range(int(seconds)):
        watch.look()
        clock.time += 1.0
        each()


def beat(database: Database, lease: Lease) -> None:
    with database.write() as session:
        leases.beat(session, lease)


def test_a_job_whose_beat_stands_still_for_a_lease_is_rescued(
    database: Database, watch: Watch, clock: Fake
) -> None:
    job_id = submit(database, mazur_job())
    claim(database)
    look_for(watch, clock, 10)
    before = find(database, job_id).status
    watch.look()
    job = find(database, job_id)

    assert ("running", "queued", 1) == (before, job.status, job.crashes)


def test_a_job_that_beats_is_left_alone(database: Database, watch: Watch, clock: Fake) -> None:
    job_id = submit(database, mazur_job())
    lease, _ = claim(database)
    look_for(watch, clock, 40, each=lambda: beat(database, lease))

    assert ("running", 0) == (find(database, job_id).status, find(database, job_id).crashes)


def test_one_beat_begins_the_lease_anew(database: Database, watch: Watch, clock: Fake) -> None:
    job_id = submit(database, mazur_job())
    lease, _ = claim(database)
    look_for(watch, clock, 9)
    beat(database, lease)
    look_for(watch, clock, 10)

    assert "running" == find(database, job_id).status


def test_a_new_attempt_begins_the_lease_anew(database: Database, watch: Watch, clock: Fake) -> None:
    """Its beat is 0 again, as that of the attempt before may have been."""
    job_id = submit(database, mazur_job())
    claim(database)
    look_for(watch, clock, 9)
    with database.write() as session:
        leases.rescue(session, job_id=job_id, attempt=1, beat=0)
    claim(database)
    look_for(watch, clock, 9)

    assert ("running", 2) == (find(database, job_id).status, find(database, job_id).attempt)


def test_a_reconciler_that_was_blind_begins_to_watch_anew(
    database: Database, watch: Watch, clock: Fake
) -> None:
    """An outage of the database is no reason to rescue everybody."""
    job_id = submit(database, mazur_job())
    claim(database)
    look_for(watch, clock, 9)
    clock.time += BLIND_SECONDS
    look_for(watch, clock, 10)
    before = find(database, job_id).status
    watch.look()

    assert ("running", "queued") == (before, find(database, job_id).status)


def test_a_job_is_rescued_once_by_any_number_of_reconcilers(
    database: Database, clock: Fake
) -> None:
    job_id = submit(database, mazur_job())
    claim(database)
    watches = [Watch(database, lease_seconds=LEASE_SECONDS, clock=clock) for _ in range(3)]
    for _ in range(15):
        for watch in watches:
            watch.look()
        clock.time += 1.0

    assert ("queued", 1) == (find(database, job_id).status, find(database, job_id).crashes)


def test_a_job_that_speaks_at_the_last_moment_keeps_its_lease(
    database: Database, watch: Watch, clock: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the rescue: the rescue names the beat that was seen."""
    job_id = submit(database, mazur_job())
    lease, _ = claim(database)
    look_for(watch, clock, 10)
    rescue = leases.rescue

    def late(*args: Any, **seen: Any) -> Any:
        if database.is_sqlite:  # one writer: it can only have spoken before this transaction
            leases.beat(args[0], lease)
        else:
            beat(database, lease)
        return rescue(*args, **seen)

    monkeypatch.setattr(leases, "rescue", late)
    watch.look()

    assert ("running", 1) == (find(database, job_id).status, find(database, job_id).beat)


def test_what_is_kept_for_a_time_only_is_deleted(
    database: Database, watch: Watch, clock: Fake
) -> None:
    show(database, slots=1)
    with database.write() as session:
        session.get_one(WorkerRow, "w").seen_at -= 100 * workers.LIVE
    watch.look()
    with database.read() as session:
        at_first = session.get(WorkerRow, "w")
    clock.time += 1000
    watch.look()
    with database.read() as session:
        at_last = session.get(WorkerRow, "w")

    assert at_first is not None
    assert at_last is None


class Bell:
    """Counts its strokes."""

    def __init__(self) -> None:
        self.strokes = 0

    def __call__(self) -> None:
        self.strokes += 1

    def since(self) -> int:
        strokes, self.strokes = self.strokes, 0
        return strokes


def show(database: Database, *, slots: int) -> None:
    """A worker that was seen just now."""
    with database.write() as session:
        workers.seen(session, "w", host="h", version="0", queue="cpu", slots=slots)


@pytest.mark.parametrize(
    ("waiting", "slots", "strokes"), [(0, 4, 0), (1, 4, 1), (3, 4, 3), (9, 4, 5), (9, 0, 1)]
)
def test_a_bell_for_each_job_that_waits_but_few_more_than_can_run(
    database: Database, clock: Fake, waiting: int, slots: int, strokes: int
) -> None:
    show(database, slots=slots)
    for _ in range(waiting):
        submit(database, mazur_job())
    bell = Bell()
    Ringer(database, ring=bell, clock=clock).call()

    assert strokes == bell.strokes


def test_while_all_slots_are_taken_one_bell_in_two_seconds_is_enough(
    database: Database, clock: Fake
) -> None:
    """It is never none: a slot may be free that nobody knows of."""
    show(database, slots=1)
    for _ in range(3):
        submit(database, mazur_job())
    claim(database)
    bell = Bell()
    ringer = Ringer(database, ring=bell, clock=clock)
    heard = []
    for _ in range(6):
        ringer.call()
        heard.append(bell.since())
        clock.time += 1.0

    assert [1, 0, 1, 0, 1, 0] == heard


def test_nobody_rings_for_a_job_that_may_not_run(database: Database, clock: Fake) -> None:
    show(database, slots=4)
    job_id = submit(database, mazur_job())
    with database.write() as session:
        jobs.pause(session, LOCAL_TENANT, job_id)
    bell = Bell()
    Ringer(database, ring=bell, clock=clock).call()

    assert 0 == bell.strokes


def test_what_is_repeated_survives_its_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database or a broker that is gone ends neither loop."""
    monkeypatch.setattr("worker.reconciler.POLL_SECONDS", 0.0)
    stop = threading.Event()
    troubles: list[BaseException] = [Busy(), OSError("broker"), ValueError("program")]
    done = []

    def act() -> None:
        if troubles:
            raise troubles.pop()
        done.append(True)
        stop.set()

    repeat(act, "act", stop)

    assert [True] == done
