"""One attempt of one job, from its lease to its end, on the real store."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from backpropd.store import jobs, leases, snapshots
from backpropd.store.database import Database
from backpropd.store.errors import NotFound
from backpropd.store.tables import LOCAL_TENANT
from tests.jobs import Fake, claim, find, iris_job, mazur_job, run, runner, submit
from tests.worker.stories import (
    After,
    checkpoint_epochs,
    kept,
    kinds,
    moves,
    rows,
    weights,
    weights_sha256,
)


@pytest.mark.parametrize("order", ["simultaneous", "layerwise"])
def test_mazurs_errors_come_out_of_the_store(
    database: Database, mazur: dict[str, Any], order: str
) -> None:
    """Row k of the history is the error after k - 1 updates; `final` the one after the last."""
    job = run(database, mazur_job(epochs=10_000, update_order=order))
    series = rows(database, job.id)

    assert ("succeeded", "epochs", 10_000) == (job.status, job.stop_reason, job.epoch)
    np.testing.assert_array_equal(np.arange(1, 10_001), series.at)
    for updates in (0, 1, 2, 9_999):
        expected = mazur[order][str(updates)]["error"]
        assert expected == pytest.approx(series.columns["loss"][updates], rel=1e-12)
    assert job.final == {"loss": pytest.approx(mazur[order]["10000"]["error"], rel=1e-12)}


def test_mazurs_weights_come_out_of_the_store(database: Database, mazur: dict[str, Any]) -> None:
    expected = mazur["biases_frozen_as_in_the_article"]
    job = run(database, mazur_job(epochs=10_000))
    theta = weights(database, job.id)

    assert list(expected["weights_after_10000"].values()) == pytest.approx(
        [*theta[:4], *theta[6:10]], rel=1e-10
    )
    assert expected["biases_after_10000"] == [*theta[4:6], *theta[10:12]]


def test_the_final_metrics_are_measured_with_the_final_weights(database: Database) -> None:
    """`final.loss` is one more update on than the last row of history."""
    ten, eleven = (run(database, mazur_job(epochs=epochs)) for epochs in (10, 11))

    assert ten.final is not None
    assert ten.final["loss"] == rows(database, eleven.id).columns["loss"][10]


def test_classification_is_measured_on_both_parts(database: Database) -> None:
    job = run(database, iris_job())

    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(job.final or {})
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(rows(database, job.id).columns)
    assert job.final["accuracy"] > 0.9  # type: ignore[index]


def test_the_snapshots_asked_for_are_kept(database: Database) -> None:
    job = run(database, iris_job())
    best = [epoch for epoch, kind in kept(database, job.id) if kind == "best"]
    val_loss = rows(database, job.id).columns["val_loss"]

    assert [int(np.argmin(val_loss)) + 1] == best
    others = [snapshot for snapshot in kept(database, job.id) if snapshot[1] != "best"]
    assert [(0, "initial"), (10, "every"), (20, "every"), (30, "every"), (30, "final")] == others
    assert weights_sha256(database, job.id, 30) == weights_sha256(database, job.id, "final")


def test_an_ended_job_keeps_its_last_state_alone(database: Database) -> None:
    """To be extended from; one that failed keeps none, and a retry begins anew."""
    job = run(database, iris_job())
    failed = run(
        database,
        {
            **iris_job(optimizer={"name": "sgd", "learning_rate": 1e6}, loss="sum_squared_error"),
            "network": {"inputs": 4, "layers": [{"units": 3, "activation": "linear"}]},
        },
    )

    assert [30] == checkpoint_epochs(database, job.id)
    assert ("failed", []) == (failed.status, checkpoint_epochs(database, failed.id))


@pytest.mark.parametrize(("epochs", "last"), [(31, [21, 31]), (33, [31, 33]), (1, [1])])
def test_a_history_of_every_tenth_epoch_has_the_last_one_too(
    database: Database, epochs: int, last: list[int]
) -> None:
    job = run(database, mazur_job(epochs=epochs) | {"history": {"every": 10}})

    assert last == rows(database, job.id).at[-2:].tolist()


def test_a_small_enough_loss_ends_a_job(database: Database) -> None:
    job = run(database, mazur_job(epochs=1000, stop={"loss_below": 0.25}))
    loss = rows(database, job.id).columns["loss"]

    assert ("succeeded", "loss_below") == (job.status, job.stop_reason)
    assert loss[-1] < 0.25 <= loss[-2]
    assert job.epoch == len(loss) < 1000


def test_patience_ends_a_job(database: Database) -> None:
    stop = {"patience": 3, "min_delta": 1.0, "monitor": "loss"}
    job = run(database, mazur_job(epochs=1000, stop=stop))

    assert ("succeeded", "patience", 4) == (job.status, job.stop_reason, job.epoch)


def test_the_limit_of_seconds_ends_a_job(database: Database) -> None:
    """And its last row is written, though it is not among every hundredth."""
    spec = mazur_job(epochs=10**6, stop={"max_seconds": 30})
    job_id = submit(database, spec | {"history": {"every": 100}})
    runner(database, clock=Fake(0.01)).run(*claim(database))
    job = find(database, job_id)

    assert ("succeeded", "max_seconds") == (job.status, job.stop_reason)
    assert job.run_seconds >= 30
    assert 0 < job.epoch < 10**6
    assert job.epoch == rows(database, job_id).at[-1]


def test_the_limit_of_seconds_counts_over_attempts(database: Database) -> None:
    """A worker that goes down after 20 of 30 seconds leaves the next one 10."""
    job_id = submit(database, mazur_job(epochs=10**6, stop={"max_seconds": 30}))
    calls = itertools.count()
    runner(database, clock=Fake(0.01), drained=lambda: next(calls) > 80).run(*claim(database))
    first = find(database, job_id)
    runner(database, clock=Fake(0.01)).run(*claim(database))
    job = find(database, job_id)

    assert "queued" == first.status
    assert 0 < first.run_seconds < 30 <= job.run_seconds < 35
    assert "max_seconds" == job.stop_reason


def test_a_diverging_job_fails_and_keeps_its_last_finite_weights(database: Database) -> None:
    spec = {
        "network": {
            "inputs": 1,
            "layers": [{"units": 1, "activation": "linear", "weights": [[1.0]]}],
        },
        "dataset": {"inputs": [[1e3], [2e3]], "targets": [[1.0], [5.0]]},
        "training": {
            "epochs": 1000,
            "loss": "mean_squared_error",
            "optimizer": {"name": "sgd", "learning_rate": 1e3},
        },
    }
    job = run(database, spec)
    series = rows(database, job.id)

    assert "failed" == job.status
    assert job.error is not None
    assert ("diverged", job.epoch + 1) == (job.error["code"], job.error["epoch"])
    assert f"epoch {job.epoch + 1} " in job.error["detail"]
    assert job.epoch + 1 == series.at[-1] < 1000
    assert np.isfinite(weights(database, job.id)).all()
    assert np.isfinite(series.columns["loss"][:-2]).all()


def test_a_paused_job_goes_on_where_it_stopped_only_when_asked(database: Database) -> None:
    job_id = submit(database, mazur_job())

    def pause() -> None:
        with database.write() as session:
            jobs.pause(session, LOCAL_TENANT, job_id)

    runner(database, drained=After(20, pause)).run(*claim(database))
    paused = find(database, job_id)
    with database.write() as session:
        nothing = leases.claim(session, worker_id="w", task_id="t", queue="cpu")

    assert ("paused", 21) == (paused.status, paused.epoch)
    assert 21 in checkpoint_epochs(database, job_id)
    assert nothing is None
    assert list(range(1, 22)) == rows(database, job_id).at.tolist()


def test_a_cancelled_job_stops_within_a_block(database: Database) -> None:
    job_id = submit(database, mazur_job())

    def cancel() -> None:
        with database.write() as session:
            jobs.cancel(session, LOCAL_TENANT, job_id)

    runner(database, drained=After(5, cancel)).run(*claim(database))
    job = find(database, job_id)

    assert ("cancelled", 6) == (job.status, job.epoch)
    assert ["queued", "running", "cancelled"] == moves(database, job_id)
    with database.read() as session, pytest.raises(NotFound):
        snapshots.find(session, job_id, "final")


def test_a_result_says_where_it_comes_from(database: Database) -> None:
    job = run(database, iris_job())

    assert job.lineage is not None
    assert (7, True) == (job.lineage["seed"], job.lineage["exact"])
    assert 64 == len(job.lineage["dataset_sha256"])
    assert 1 == job.lineage["fingerprint"]["threads"]
    assert "float64" == job.lineage["fingerprint"]["dtype"]
    assert ["setosa", "versicolor", "virginica"] == (job.encoding or {})["classes"]
    assert [] == kinds(database, job.id)


def test_equal_seeds_give_equal_bits_and_others_do_not(database: Database) -> None:
    one, two, other = (run(database, iris_job(seed=seed)).id for seed in (7, 7, 8))

    assert weights_sha256(database, one) == weights_sha256(database, two)
    assert weights_sha256(database, one) != weights_sha256(database, other)


def test_the_threads_of_matrix_products_are_set_for_each_job_and_recorded(
    database: Database,
) -> None:
    threads = {}
    for asked in (2, 1):
        lineage = run(database, iris_job(epochs=1), threads=asked).lineage
        assert lineage is not None
        threads[asked] = lineage["fingerprint"]["threads"]

    assert {1: 1, 2: 2} == threads
