"""One fault after the other on the real stack; what must hold afterwards is in invariants.py."""

from __future__ import annotations

import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backpropd.client import Client, Problem
from tests.chaos import faults
from tests.chaos.faults import Server, busy
from tests.chaos.kit import LEASE_SECONDS, Plant, Run, embedded, standing
from tests.chaos.storm import Storm
from tests.chaos.workload import JOBS
from tests.databases import need

pytestmark = pytest.mark.system

STOP_SECONDS = 30.0  # generous; how long it takes is told by the report, not by a test


SQLITE = pytest.mark.parametrize(
    "plant", [pytest.param("sqlite", marks=pytest.mark.xdist_group("chaos-sqlite"))], indirect=True
)
POSTGRESQL = pytest.mark.parametrize(
    "plant",
    [pytest.param("postgresql", marks=pytest.mark.xdist_group("chaos-postgresql"))],
    indirect=True,
)


def attempts(run: Run, job_id: str) -> int:
    return int(run.job(job_id)["attempt"])


def reasons(run: Run, job_id: str) -> list[str]:
    """Why the job moved, each time."""
    return [move["reason"] for move in run.job(job_id)["transitions"]]


# ---- processes


def test_a_killed_child_costs_an_attempt_and_nothing_else(plant: Plant, run: Run) -> None:
    job_id = run.submit("momentum")
    run.under_way(job_id)
    faults.kill([busy(plant)[1]])
    run.settle()

    assert attempts(run, job_id) > 1
    assert "its process died" in reasons(run, job_id)


@POSTGRESQL
def test_a_worker_that_is_lost_whole_is_missed_after_a_lease(plant: Plant, run: Run) -> None:
    job_id = run.submit("adam")
    run.under_way(job_id)
    faults.kill_worker(plant, busy(plant)[0])
    run.settle()

    assert attempts(run, job_id) > 1
    assert "its worker fell silent" in reasons(run, job_id)


@POSTGRESQL
def test_a_killed_parent_leaves_no_child_that_trains(plant: Plant, run: Run) -> None:
    job_id = run.submit("momentum")
    run.under_way(job_id)
    worker, _ = busy(plant)
    faults.kill([plant.root(worker)])
    run.settle()

    assert attempts(run, job_id) > 1


@SQLITE
def test_every_worker_and_the_reconciler_at_once(plant: Plant, run: Run) -> None:
    job_ids = [run.submit(name) for name in ("momentum", "adam")]
    for job_id in job_ids:
        run.under_way(job_id)
    faults.kill([plant.root("reconciler")])
    for worker in plant.workers:
        faults.kill_worker(plant, worker)
    run.settle()

    assert all(attempts(run, job_id) > 1 for job_id in job_ids)


@SQLITE
def test_a_killed_api_loses_no_job_and_makes_none_twice(plant: Plant, run: Run) -> None:
    run.submit("short")
    for victims in (plant.children("api"), [plant.root("api"), *plant.children("api")]):
        faults.kill(victims)
        run.submit("short")

    assert 3 == run.settle().statuses["succeeded"]


def test_a_zombie_that_wakes_up_is_fenced_off(plant: Plant, run: Run) -> None:
    """While another worker has its job: nothing of what it brings may be written."""
    job_id = run.submit("momentum")
    run.under_way(job_id)
    _, child = busy(plant)
    frozen = faults.freeze_between_transactions(plant, child)
    run.under_way(job_id, attempt=2, epoch=0)
    faults.thaw(frozen)
    run.settle()

    assert attempts(run, job_id) > 1


@POSTGRESQL
def test_a_worker_that_is_frozen_whole_comes_back_to_others_work(plant: Plant, run: Run) -> None:
    """As a machine that was suspended."""
    job_ids = [run.submit(name) for name in ("momentum", "adam")]
    run.under_way(job_ids[0])
    worker, child = busy(plant)
    root = plant.root(worker)
    assert root is not None
    frozen = [*faults.freeze([root]), *faults.freeze_between_transactions(plant, child)]
    silent = "its worker fell silent"
    plant.wait_until(lambda: any(silent in reasons(run, each) for each in job_ids), "rescue")
    faults.thaw(frozen)
    run.settle()


@POSTGRESQL
def test_a_stopped_worker_hands_its_job_back_uncharged(plant: Plant, run: Run) -> None:
    job_id = run.submit("momentum")
    run.under_way(job_id)
    faults.terminate(plant.root(busy(plant)[0]), STOP_SECONDS)
    run.settle()

    assert attempts(run, job_id) > 1
    assert "its worker goes down" in reasons(run, job_id)
    assert "its worker fell silent" not in reasons(run, job_id)


@SQLITE
def test_a_stopped_worker_rings_for_the_job_that_it_hands_back(plant: Plant, run: Run) -> None:
    """Nobody need notice that it is gone: no reconciler runs."""
    job_id = run.submit("momentum")
    run.under_way(job_id)
    plant.wait_until(plant.all_listen, "worker that is free")
    plant.hold("reconciler")
    worker, _ = busy(plant)
    faults.terminate(plant.root(worker), STOP_SECONDS)
    plant.wait_until(lambda: run.job(job_id)["status"] == "succeeded", "end", seconds=STOP_SECONDS)
    plant.release("reconciler")
    run.settle()

    assert "its worker goes down" in reasons(run, job_id)


@SQLITE
def test_a_rolling_restart_charges_nobody(plant: Plant, run: Run) -> None:
    for name in ("momentum", "adam", "short", "momentum"):
        run.submit(name)
    for worker in plant.workers:
        faults.terminate(plant.root(worker), STOP_SECONDS)
        plant.wait_until(plant.all_listen, "worker")
    run.settle()

    told = {reason for job_id in run.accepted for reason in reasons(run, job_id)}
    assert "its worker goes down" in told
    assert not told & {"its worker fell silent", "its process died"}


@POSTGRESQL
def test_workers_that_are_told_to_drop_everything_lose_nothing(plant: Plant, run: Run) -> None:
    """By SIGQUIT, at any instruction; and whoever is started again is another worker."""
    holders = []
    for name in ("momentum", "adam", "momentum"):
        job_id = run.submit(name)
        run.under_way(job_id)
        root = plant.root(busy(plant)[0])
        assert root is not None
        root.send_signal(signal.SIGQUIT)
        run.settle()
        holders.append(plant.client.attempts(job_id)[0]["worker"])

    assert 3 == len(set(holders))


@POSTGRESQL
def test_a_job_goes_on_when_its_worker_was_told_to_drop_everything(plant: Plant, run: Run) -> None:
    """One that no worker can end before it hears SIGQUIT."""
    long = run.submit_endless()
    run.under_way(long, epoch=1)
    root = plant.root(busy(plant)[0])
    assert root is not None
    root.send_signal(signal.SIGQUIT)
    plant.wait_until(lambda: attempts(run, long) > 1, "another attempt")
    run.under_way(long, epoch=run.job(long)["progress"]["epoch"] + 1)
    there = run.job(long)
    plant.client.cancel(long)
    run.settle()

    assert ("running", 2) == (there["status"], there["attempt"])


@SQLITE
def test_short_jobs_pass_a_long_one(plant: Plant, run: Run) -> None:
    """Nothing that waits is bound to the worker that is busy."""
    long = run.submit_endless()
    run.under_way(long, epoch=1)
    short = [run.submit("short") for _ in range(6)]
    plant.wait_until(
        lambda: {"succeeded"} == {run.job(job_id)["status"] for job_id in short}, "short jobs"
    )
    there = run.job(long)
    plant.client.cancel(long)
    run.settle()

    assert ("running", 1) == (there["status"], there["attempt"])


# ---- exact places


def die_at(plant: Plant, run: Run, marker: Path, role: str, place: str) -> None:
    """Let one process of a role die there, once, and a job meet it."""
    plant.restart(role, BACKPROPD_FAILPOINT=place, BACKPROPD_FAILPOINT_MARKER=str(marker))
    job_id = run.submit("momentum" if role == "reconciler" or "beat" in place else "short")
    if role == "reconciler":
        run.under_way(job_id)
        faults.kill_worker(plant, busy(plant)[0])
    run.settle()

    assert marker.exists()


@pytest.mark.parametrize("place", ["after_beat:2", "before_final_commit"])
def test_a_worker_dies_in_the_midst_of_a_transaction(
    plant: Plant, run: Run, tmp_path: Path, place: str
) -> None:
    die_at(plant, run, tmp_path / "marker", "worker", place)


@POSTGRESQL
@pytest.mark.parametrize("place", ["after_claim", "after_final_commit"])
def test_a_worker_dies_between_a_commit_and_what_follows(
    plant: Plant, run: Run, tmp_path: Path, place: str
) -> None:
    die_at(plant, run, tmp_path / "marker", "worker", place)


@SQLITE
@pytest.mark.parametrize("place", ["before_commit", "after_commit"])
def test_the_api_dies_at_either_side_of_a_commit(
    plant: Plant, run: Run, tmp_path: Path, place: str
) -> None:
    """Before: no row. After: a row for which nobody has rung, but the reconciler will."""
    die_at(plant, run, tmp_path / "marker", "api", place)


@POSTGRESQL
def test_a_reconciler_dies_between_its_look_and_the_rescue(
    plant: Plant, run: Run, tmp_path: Path
) -> None:
    die_at(plant, run, tmp_path / "marker", "reconciler", "before_rescue")


@SQLITE
def test_a_job_that_kills_each_of_its_workers_fails_alone(plant: Plant, run: Run) -> None:
    """At the third time without progress; the workers go on with the others."""
    plant.restart("worker", BACKPROPD_FAILPOINT="after_claim:1")
    poison = plant.client.submit(JOBS["short"])
    ended = plant.client.wait(poison["id"])
    plant.restart("worker")
    run.submit("short")
    run.settle()

    assert ("failed", "crash_loop", 3) == (
        ended["status"],
        ended["error"]["code"],
        ended["attempt"],
    )


# ---- wishes


@POSTGRESQL
def test_fifty_requests_with_one_key_are_one_job(plant: Plant, run: Run) -> None:
    body = {**JOBS["short"], "tags": {"run": run.name}}
    key, run.keys = uuid.uuid4().hex, 1

    def submit(_: int) -> dict[str, Any]:
        with Client(plant.address, timeout=60) as client:
            return run.insist(lambda: client.submit(body, idempotency_key=key))

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(submit, range(50)))
    run.accepted = [answers[0]["id"]]
    run.settle()

    assert all(answer == answers[0] for answer in answers)


@SQLITE
def test_cancelled_stays_cancelled_whoever_dies(plant: Plant, run: Run) -> None:
    """The wish is in the database before its worker is killed, and a reconciler fulfils it."""
    killed, waiting = run.submit("momentum"), run.submit("momentum")
    run.under_way(killed)
    worker, _ = busy(plant)
    for job_id in (killed, waiting):
        run.insist(lambda job_id=job_id: plant.client.cancel(job_id))
    faults.kill_worker(plant, worker)

    assert 2 == run.settle(seconds=STOP_SECONDS).statuses["cancelled"]


@POSTGRESQL
def test_paused_among_kills_and_resumed_goes_on(plant: Plant, run: Run) -> None:
    job_id = run.submit("adam")
    run.under_way(job_id)
    plant.client.pause(job_id)
    faults.kill([child for worker in plant.workers for child in plant.children(worker)])
    plant.wait_until(lambda: run.job(job_id)["status"] == "paused", "pause", seconds=STOP_SECONDS)
    plant.client.resume(job_id)

    assert 1 == run.settle().identical


# ---- the broker


@SQLITE
def test_a_flushed_and_killed_broker_delays_and_loses_nothing(plant: Plant, run: Run) -> None:
    for name in ("momentum", "adam", "short", "short"):
        run.submit(name)
        faults.flush_broker(plant)
        faults.kill([plant.root("broker")])
    run.settle()


@POSTGRESQL
def test_without_a_broker_jobs_run_on_and_submits_and_cancels_are_heard(
    plant: Plant, run: Run
) -> None:
    job_id, doomed = run.submit("momentum"), run.submit("adam")
    before = run.under_way(job_id)
    with faults.broker_gone(plant):
        later = [run.submit("short") for _ in range(3)]
        plant.client.cancel(doomed)
        plant.wait_until(
            lambda: run.job(doomed)["status"] == "cancelled", "cancel", seconds=STOP_SECONDS
        )
        plant.wait_until(lambda: run.job(job_id)["status"] == "succeeded", "end without a broker")
    run.settle()

    assert before["attempt"] == attempts(run, job_id)
    assert all(attempts(run, each) == 1 for each in later)


@SQLITE
def test_garbage_and_forged_messages_do_no_harm(plant: Plant, run: Run) -> None:
    job_id = run.submit("momentum")
    run.under_way(job_id)
    faults.feed_garbage(plant)
    run.submit("short")

    assert 2 == run.settle().identical


# ---- the database


def test_a_locked_database_is_waited_for(
    plant: Plant, run: Run, request: pytest.FixtureRequest
) -> None:
    job_id = run.submit("momentum")
    run.under_way(job_id)
    postgres = None if plant.database.is_sqlite else request.getfixturevalue("server")
    with faults.locked(plant, postgres):
        time.sleep(6)  # longer than PostgreSQL waits for a lock here
    run.submit("short")
    run.settle()


@POSTGRESQL
def test_sessions_that_their_server_ends_are_opened_again(plant: Plant, run: Run) -> None:
    job_ids = [run.submit(name) for name in ("momentum", "adam")]
    for job_id in job_ids:
        run.under_way(job_id)
    for _ in range(10):
        faults.terminate_sessions(plant)
        time.sleep(0.2)
    run.settle()


@POSTGRESQL
def test_a_database_server_that_crashes_loses_nothing_it_has_confirmed(
    plant: Plant, run: Run, server: Server
) -> None:
    run.under_way(run.submit("momentum"))
    server.crash()
    try:
        with pytest.raises(Problem) as refused:
            plant.client.submit(JOBS["short"])
        time.sleep(2)
    finally:
        server.start()
    run.submit("short")

    assert 503 == refused.value.status
    assert 2 == run.settle().identical


def test_a_damaged_checkpoint_is_passed_over(plant: Plant, run: Run) -> None:
    """Its worker is lost after the damage; the next one goes on from the checkpoint before."""
    job_id = run.submit("momentum")
    plant.wait_until(lambda: faults.checkpoints(plant, job_id) > 1, "second checkpoint")
    _, child = busy(plant)
    faults.freeze_between_transactions(plant, child)
    faults.damage_newest_checkpoint(plant, job_id)
    faults.kill([child])
    findings = run.settle()

    assert 1 == findings.kinds["checkpoint_damaged"]


@pytest.mark.xdist_group("chaos-embedded")
def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    need("redis")
    with faults.small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("no tmpfs can be mounted here, so no disk can be full")
        with standing(embedded(disk / "stack")) as plant:
            run = Run(plant)
            job_id = run.submit("momentum")
            run.under_way(job_id)
            filler = faults.fill(disk)
            time.sleep(LEASE_SECONDS + 1)
            with pytest.raises(Problem) as refused:
                plant.client.submit(JOBS["short"])
            there = plant.client.job(job_id)
            filler.unlink()
            run.submit("short")
            findings = run.settle()

    assert refused.value.status in (503, 507)
    assert job_id == there["id"]
    assert 2 == findings.identical


# ---- everything


@pytest.mark.xdist_group("chaos-embedded")
def test_the_broker_of_last_resort_carries_nothing_either(tmp_path: Path) -> None:
    """What is found by the others, in short; BACKPROPD_CHAOS_BROKER=sql runs all on it."""
    with standing(embedded(tmp_path, broker="sql")) as plant:
        storm = Storm(plant, seed=1)
        storm.blow(seconds=5)
        findings = storm.calm()
        run = Run(plant)
        with faults.broker_gone(plant):
            run.submit("short")
        faults.feed_garbage(plant, 20)
        faults.flush_broker(plant)
        later = run.settle()

    assert findings.jobs == findings.identical + findings.statuses["cancelled"]
    assert 1 == later.identical


@pytest.mark.xdist_group("chaos-embedded")
def test_anything_at_any_time(tmp_path: Path) -> None:
    """A minute of random faults on `backpropd up`; BACKPROPD_CHAOS_SEED repeats their order."""
    need("redis")
    seed = int(os.environ.get("BACKPROPD_CHAOS_SEED") or time.time_ns() % 2**32)
    print(f"BACKPROPD_CHAOS_SEED={seed}")
    with standing(embedded(tmp_path)) as plant:
        storm = Storm(plant, seed=seed)
        storm.blow(seconds=60)
        findings = storm.calm()
    print(storm.told(findings))

    assert findings.jobs == findings.identical + findings.statuses["cancelled"]
    assert sum(storm.done.values()) > 10
