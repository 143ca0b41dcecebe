"""Jobs of unusual parts, from the store to the store, on both databases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backpropd.engine import OPTIMIZERS
from backpropd.export.weights import named_weights, theta_of
from backpropd.spec.base import parse
from backpropd.spec.network import NetworkSpec
from backpropd.store import snapshots
from backpropd.store.database import Database
from tests.jobs import iris_job, run
from tests.worker.stories import kept, rows, weights

EVERYTHING: dict[str, Any] = {
    "inputs": 4,
    "input_noise": 0.05,
    "layers": [
        {
            "name": "field",
            "units": 3,
            "activation": "prelu",
            "tied": [[1, 2, -1, 0], [3, 2, -3, 0], [1, 1, 1, 4]],
            "share_bias": True,
        },
        {
            "name": "normal",
            "units": 6,
            "activation": {"name": "scaled_tanh", "amplitude": 1.5},
            "normalization": {"name": "batch_norm"},
            "dropout": 0.2,
            "noise": 0.1,
            "l1": 0.001,
            "l2": 0.01,
            "from": ["inputs", "field"],
        },
        {"name": "layered", "units": 4, "activation": "mish", "normalization": "layer_norm"},
        {
            "name": "output",
            "units": 3,
            "activation": "softmax",
            "max_norm": 2.0,
            "from": ["layered", "field"],
        },
    ],
}


def everything(**training: Any) -> dict[str, Any]:
    """A job of nearly every part there is."""
    job = iris_job(
        loss={"name": "cross_entropy", "label_smoothing": 0.1},
        optimizer={"name": "nadam", "weight_decay": 0.001, "decoupled": True},
        schedule={"name": "cosine", "period": 5, "grow": 2, "warmup": 3, "per": "update"},
        clip={"name": "global_norm", "most": 1.0},
        metrics=["accuracy", "f1", {"name": "top_k_accuracy", "k": 2}, "confusion", "r2"],
        class_weights="balanced",
        validation={"folds": 5, "fold": 1},
        stop={"patience": 25, "monitor": "val_f1", "restore_best": True},
        **training,
    )
    return {
        **job,
        "network": EVERYTHING,
        "history": {"layers": True},
        "snapshots": {"best": "val_f1"},
    }


def test_a_job_of_everything_trains_and_is_kept(database: Database) -> None:
    job = run(database, everything())
    series = rows(database, job.id)
    theta = weights(database, job.id)
    arrays = named_weights(parse(NetworkSpec, EVERYTHING), theta)

    assert job.status == "succeeded", job.error
    assert {"loss", "accuracy", "f1", "top_k_accuracy", "confusion.2.1", "r2"} < set(
        job.final or {}
    )
    assert {"val_confusion.0.0", "layers.normal.update_ratio"} < set(series.columns)
    assert all(np.isfinite(values).all() for values in series.columns.values())
    assert arrays["field.weight"][0, 0] == -arrays["field.weight"][0, 2]
    assert (arrays["field.weight"][:2, 3] == 0).all()
    assert {"normal.running_mean", "normal.gain", "layered.shift", "field.alpha"} < set(arrays)
    best = [epoch for epoch, kind in kept(database, job.id) if kind == "best"]
    assert best == [int(series.columns["val_f1"].argmax()) + 1]
    assert (weights(database, job.id) == best_theta(database, job.id)).all()  # restore_best
    assert job.final is not None
    assert job.final["val_f1"] == series.columns["val_f1"].max()


def best_theta(database: Database, job_id: str) -> Any:
    with database.read() as session:
        row = snapshots.find(session, job_id, "best")
        return theta_of(snapshots.content(session, row), "float64")


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if OPTIMIZERS[name].full_batch])
def test_full_batch_optimizers_run_as_jobs(database: Database, name: str) -> None:
    job = run(
        database,
        iris_job(
            optimizer={"name": name},
            batch_size="all",
            loss="mean_squared_error",
            epochs=15,
        ),
    )
    loss = rows(database, job.id).columns["loss"]

    assert job.status == "succeeded", job.error
    assert loss[-1] < loss[0]


def test_one_seed_changes_one_thing(database: Database) -> None:
    """
    Another seed for the order leaves the initial weights and the split as they were.
    """
    runs = [run(database, iris_job(epochs=3, seeds=seeds)) for seeds in ({}, {"order": 99})]
    initial, final = (
        [weights(database, job.id, which).tobytes() for job in runs]
        for which in ("initial", "final")
    )

    assert initial[0] == initial[1]
    assert final[0] != final[1]
    assert runs[1].lineage is not None
    assert runs[1].lineage["seeds"]["order"] == 99


def test_a_diverging_job_names_epoch_and_layer(database: Database) -> None:
    job = run(
        database,
        {
            **iris_job(optimizer={"name": "sgd", "learning_rate": 1e6}, loss="sum_squared_error"),
            "network": {
                "inputs": 4,
                "layers": [
                    {"name": "wide", "units": 5, "activation": "linear"},
                    {"units": 3, "activation": "linear"},
                ],
            },
        },
    )

    assert (job.status, job.error["code"]) == ("failed", "diverged")  # type: ignore[index]
    assert job.error["layer"] in ("wide", "output")  # type: ignore[index]
    assert job.error["epoch"] == job.epoch + 1  # type: ignore[index]
    assert np.isfinite(weights(database, job.id)).all()
    assert {"initial", "final"} <= {kind for _, kind in kept(database, job.id)}
