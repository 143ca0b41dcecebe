"""A job that asks for machine code gets it where it is there, and keeps to what it began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backpropd.store.database import Database
from tests.jobs import claim, find, iris_job, mazur_job, run, runner, submit
from tests.worker.stories import assert_same_result, kill_after, kinds, rescue, rows, weights
from worker import kernels


def of_kernel(database: Database, job_id: str) -> tuple[str, str, str]:
    """Its name and reason in the lineage, and the version in the fingerprint."""
    lineage: dict[str, Any] = find(database, job_id).lineage or {}
    kernel = lineage["kernel"]
    return kernel["name"], kernel["reason"], lineage["fingerprint"]["kernel"]


@pytest.fixture
def compiled(database: Database) -> str:
    """A job that ran in machine code, which is on disk from now on."""
    job = run(database, iris_job(kernel="compiled"))
    for process in list(kernels._running.values()):
        assert process.wait(280) == 0
    return job.id if of_kernel(database, job.id)[0] == "fused" else _again(database)


def _again(database: Database) -> str:
    return run(database, iris_job(kernel="compiled")).id


def test_the_textbooks_code_trains_unless_asked_otherwise(database: Database) -> None:
    job = run(database, mazur_job(epochs=3))

    assert ("plain", "it was asked for", "plain") == of_kernel(database, job.id)


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


def test_a_job_does_not_wait_for_a_compiler_and_keeps_to_what_it_began_with(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKPROPD_KERNELS", str(tmp_path))
    asked = mazur_job(epochs=7, kernel="compiled", metrics=[])
    undisturbed = run(database, mazur_job(epochs=7, metrics=[]))
    job_id = submit(database, asked)
    kill_after(database, 3)
    began = of_kernel(database, job_id)
    for process in list(kernels._running.values()):
        assert process.wait(280) == 0
    assert "queued" == rescue(database, job_id)
    runner(database).run(*claim(database))
    later = run(database, asked)

    assert ("plain", "plain") == began[::2]
    assert "compiled now" in began[1]
    assert began == of_kernel(database, job_id)
    assert_same_result(database, job_id, undisturbed.id)
    assert "online" == of_kernel(database, later.id)[0]


def test_what_no_kernel_covers_says_so(database: Database) -> None:
    job = run(database, mazur_job(epochs=3, kernel="compiled", update_order="layerwise"))

    assert "plain" == of_kernel(database, job.id)[0]
    assert "layerwise" in of_kernel(database, job.id)[1]
