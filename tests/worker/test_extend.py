"""A job that is extended is, bit for bit, the job that had been asked for all epochs at first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backpropd.store import descendants, jobs
from backpropd.store.database import Database
from backpropd.store.tables import LOCAL_TENANT, JobRow
from tests.jobs import Fake, claim, find, iris_job, run, runner
from tests.worker.stories import kept, rows, weights


def extended(database: Database, parent: JobRow, epochs: int) -> JobRow:
    """What the service does, without HTTP, and the run."""
    total = parent.epochs + epochs
    spec = {**parent.spec, "training": {**parent.spec["training"], "epochs": total}}
    with database.write() as session:
        parent = jobs.find(session, LOCAL_TENANT, parent.id)
        job = jobs.submit(
            session,
            LOCAL_TENANT,
            spec=spec,
            network_id=parent.network_id,
            dataset_id=parent.dataset_id,
            queue=parent.queue,
            parent=parent,
            derived=descendants.EXTEND,
        )
        descendants.inherit(session, parent, job)
        job_id = job.id
    runner(database, clock=Fake(1e-6)).run(*claim(database))
    return find(database, job_id)


CASES: dict[str, dict[str, Any]] = {
    "momentum": {"optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}},
    "adam": {"optimizer": {"name": "adam", "learning_rate": 0.01}},
    "plateau": {"schedule": {"name": "reduce_on_plateau", "patience": 2, "min_delta": 0.05}},
    "restored": {"stop": {"restore_best": True}},
    "levenberg": {
        "optimizer": {"name": "levenberg_marquardt"},
        "batch_size": "all",
        "loss": "mean_squared_error",
    },
}


@pytest.mark.parametrize("name", CASES)
def test_an_extended_job_is_the_longer_job(database: Database, name: str) -> None:
    whole = run(database, iris_job(epochs=24, **CASES[name]))
    begun = run(database, iris_job(epochs=10, **CASES[name]))
    job = extended(database, begun, 9)
    again = extended(database, job, 5)

    assert ("succeeded", "epochs", 24) == (again.status, again.stop_reason, again.epoch)
    assert weights(database, whole.id).tobytes() == weights(database, again.id).tobytes()
    expected, found = rows(database, whole.id), rows(database, again.id)
    np.testing.assert_array_equal(expected.at, found.at)
    for metric, values in expected.columns.items():
        np.testing.assert_array_equal(values, found.columns[metric])
    assert kept(database, whole.id) == kept(database, again.id)
    assert whole.final == again.final
    assert (again.parent_id, again.derived) == (job.id, "extend")


def test_the_parent_stays_as_it_was(database: Database) -> None:
    begun = run(database, iris_job(epochs=10))
    before = weights(database, begun.id).tobytes(), kept(database, begun.id)
    extended(database, begun, 5)

    assert before == (weights(database, begun.id).tobytes(), kept(database, begun.id))
    assert len(rows(database, begun.id).at) == 10


def test_a_strict_job_does_not_go_on_elsewhere(database: Database) -> None:
    """
    Under another version of the program it fails, rather than give other bits unsaid.
    """
    begun = run(database, {**iris_job(epochs=10), "strict": True})
    with database.write() as session:
        row = jobs.find(session, LOCAL_TENANT, begun.id)
        lineage = dict(row.lineage or {})
        row.lineage = {**lineage, "fingerprint": {**lineage["fingerprint"], "numpy": "0.1"}}
    job = extended(database, find(database, begun.id), 5)

    assert ("failed", "inexact") == (job.status, job.error["code"])  # type: ignore[index]
