"""A wish that changes while the worker leaves a job: the last one holds, none is undone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backpropd.store import jobs, leases
from backpropd.store.clock import now
from backpropd.store.database import Database
from backpropd.store.lifecycle import Want
from backpropd.store.tables import LOCAL_TENANT
from tests.jobs import claim, find, iris_job, mazur_job, run, runner, submit
from tests.worker.stories import After, assert_same_result
from worker.recorder import Recorder

WISHES: dict[str, Callable[..., Any]] = {
    "pause": jobs.pause,
    "cancel": jobs.cancel,
    "resume": jobs.resume,
}


def wish(database: Database, job_id: str, which: str) -> None:
    with database.write() as session:
        WISHES[which](session, LOCAL_TENANT, job_id)


@pytest.mark.parametrize(("which", "status"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_wish_after_the_last_beat_of_a_drained_worker_is_obeyed(
    database: Database, which: str, status: str
) -> None:
    """It was answered with 202; a job that was only queued again would wait for ever."""
    job_id = submit(database, iris_job())

    def wished_and_drained() -> bool:
        wish(database, job_id, which)
        return True

    runner(database, drained=After(3, wished_and_drained)).run(*claim(database))

    assert status == find(database, job_id).status


@pytest.mark.parametrize(("which", "status"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_wish_before_an_error_that_nobody_foresaw_is_obeyed(
    database: Database, which: str, status: str
) -> None:
    job_id = submit(database, mazur_job())
    lease, _ = claim(database)
    wish(database, job_id, which)
    error = {"code": "internal", "title": "Internal error", "detail": "test"}
    with database.write() as session:
        leases.beat(session, lease)
        leases.stumble(session, lease, error=error, run_after=now() + timedelta(hours=1))

    assert status == find(database, job_id).status


def change_before_obeying(
    monkeypatch: pytest.MonkeyPatch, database: Database, job_id: str, which: str
) -> None:
    """Let the user change the wish between the beat that brings it home and its fulfilment."""
    obey = Recorder.obey

    def late(recorder: Recorder, *args: Any) -> Any:
        wish(database, job_id, which)
        return obey(recorder, *args)

    monkeypatch.setattr(Recorder, "obey", late)


def test_a_cancel_that_overtakes_a_pause_cancels(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(database, iris_job())
    change_before_obeying(monkeypatch, database, job_id, "cancel")
    pausing = After(3, lambda: wish(database, job_id, "pause"))
    runner(database, drained=pausing).run(*claim(database))

    assert "cancelled" == find(database, job_id).status


def test_a_pause_that_is_taken_back_at_the_last_moment_stops_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = run(database, iris_job()).id
    job_id = submit(database, iris_job())
    change_before_obeying(monkeypatch, database, job_id, "resume")
    pausing = After(3, lambda: wish(database, job_id, "pause"))
    runner(database, drained=pausing).run(*claim(database))

    assert (1, Want.RUN) == (find(database, job_id).attempt, find(database, job_id).want)
    assert_same_result(database, job_id, undisturbed)
