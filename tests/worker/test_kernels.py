"""A job that asks for machine code gets it where it is there, and keeps to what it began with."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backpropd.engine.kernels import Choice, choose
from backpropd.store.database import Database
from tests.jobs import MAZUR, claim, find, iris_job, mazur_job, run, runner, submit
from tests.worker.stories import assert_same_result, kill_after, kinds, rescue, rows, weights
from worker import kernels, warming


def of_kernel(database: Database, job_id: str) -> tuple[str, str, str]:
    """Its name and reason in the lineage, and the version in the fingerprint."""
    lineage: dict[str, Any] = find(database, job_id).lineage or {}
    kernel = lineage["kernel"]
    return kernel["name"], kernel["reason"], lineage["fingerprint"]["kernel"]


@pytest.fixture
def compiled(database: Database) -> str:
    """A job that ran in machine code: it asked for that, and so it waited for the compiler."""
    return run(database, iris_job(kernel="compiled"), sleep=time.sleep).id


@pytest.fixture
def nothing_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no kernel was ever compiled."""
    monkeypatch.setenv("BACKPROPD_KERNELS", str(tmp_path / "kernels"))


def wait_for_compilers() -> None:
    for process in list(kernels._running.values()):
        assert process.wait(280) == 0


@pytest.mark.parametrize(
    ("asked", "reason"), [({"kernel": "plain"}, "it was asked for"), ({}, "jobs that ask for it")]
)
def test_the_textbooks_code_trains_where_machine_code_is_not_wanted(
    database: Database, asked: dict[str, Any], reason: str
) -> None:
    job = run(database, mazur_job(epochs=3, **asked), auto_kernels=False)
    name, why, version = of_kernel(database, job.id)

    assert ("plain", "plain") == (name, version)
    assert reason in why


def test_machine_code_trains_to_the_same_numbers(database: Database, compiled: str) -> None:
    plain = run(database, iris_job())
    name, reason, version = of_kernel(database, compiled)

    assert name == "fused"
    assert "batches of" in reason
    assert version.startswith("fused ")
    np.testing.assert_allclose(
        weights(database, compiled), weights(database, plain.id), rtol=1e-9, atol=1e-12
    )
    mine, other = rows(database, compiled), rows(database, plain.id)
    assert list(other.columns) == list(mine.columns)
    for name, values in other.columns.items():
        np.testing.assert_allclose(mine.columns[name], values, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("blocks", [1, 7])
def test_a_compiled_job_whose_worker_is_killed_ends_as_if_nothing_had_been(
    database: Database, compiled: str, blocks: int
) -> None:
    job_id = submit(database, iris_job(kernel="compiled"))
    kill_after(database, blocks)
    assert "queued" == rescue(database, job_id)
    runner(database).run(*claim(database))

    assert_same_result(database, job_id, compiled)
    assert ["resumed"] == kinds(database, job_id)


@pytest.mark.usefixtures("nothing_compiled")
def test_a_short_job_does_not_wait_for_a_compiler_and_keeps_to_what_it_began_with(
    database: Database,
) -> None:
    asked = mazur_job(epochs=7, metrics=[])
    undisturbed = run(database, mazur_job(epochs=7, metrics=[], kernel="plain"))
    job_id = submit(database, asked)
    kill_after(database, 3, auto_kernels=True)
    began = of_kernel(database, job_id)
    wait_for_compilers()
    assert "queued" == rescue(database, job_id)
    runner(database, auto_kernels=True).run(*claim(database))
    later = run(database, asked, auto_kernels=True)

    assert ("plain", "plain") == began[::2]
    assert "compiled now" in began[1]
    assert began == of_kernel(database, job_id)
    assert_same_result(database, job_id, undisturbed.id)
    assert "online" == of_kernel(database, later.id)[0]


SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.usefixtures("nothing_compiled")
def test_a_job_that_would_be_at_it_for_minutes_waits_and_holds_its_lease(
    database: Database,
) -> None:
    updates = int(2 * kernels.COMPILER_SECONDS / kernels.PLAIN_UPDATE_SECONDS) + 4
    asked = mazur_job(epochs=updates // 4, metrics=[])
    asked |= {"dataset": "builtin:xor", "history": {"every": 100_000}}
    asked["network"] = {
        **MAZUR,
        "layers": [*MAZUR["layers"][:1], {"units": 1, "activation": "logistic"}],
    }
    job = run(
        database,
        asked,
        auto_kernels=True,
        sleep=time.sleep,
        clock=time.monotonic,
        beat_seconds=0.1,
    )

    assert "online" == of_kernel(database, job.id)[0]
    assert updates // 4 == job.epoch
    assert job.beat > 10  # training itself takes less than ten of them


@SQLITE
@pytest.mark.usefixtures("nothing_compiled")
def test_who_is_called_away_waits_no_longer(database: Database) -> None:
    """
    A worker that goes down hands the job back at once, though it waits for a compiler.
    """
    job_id = submit(database, mazur_job(kernel="compiled"))
    runner(database, drained=lambda: True).run(*claim(database))
    for process in list(kernels._running.values()):
        process.kill()
        process.wait()

    assert "queued" == find(database, job_id).status


@pytest.mark.usefixtures("nothing_compiled")
def test_whoever_resumes_machine_code_elsewhere_waits_for_it() -> None:
    (training, data), *_ = warming.trainings()
    began = {"name": "online", "reason": "batches of 1"}

    def chosen(wait: Callable[[], bool]) -> Choice:
        return kernels.chosen(training, data, "auto", began, auto=False, wait=wait)

    looks = iter([True] * 5)
    assert "plain" == chosen(lambda: next(looks, False)).kernel
    assert next(looks, None) is None
    wait_for_compilers()
    assert "online" == chosen(lambda: False).kernel


def test_each_training_that_is_compiled_ahead_has_a_kernel_of_its_own() -> None:
    choices = [choose(training, data) for training, data in warming.trainings()]

    assert "plain" not in {choice.kernel for choice in choices}
    assert len(choices) == len({choice.version for choice in choices})


def test_what_no_kernel_covers_says_so(database: Database) -> None:
    job = run(database, mazur_job(epochs=3, kernel="compiled", update_order="layerwise"))

    assert "plain" == of_kernel(database, job.id)[0]
    assert "layerwise" in of_kernel(database, job.id)[1]
