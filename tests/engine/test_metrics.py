"""Metrics: what scikit-learn computes, also when it comes batch by batch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from backpropd.engine import METRICS
from backpropd.engine.metrics import Tally


def measured(name: str, Y: Any, T: Any, batch: int = 7, **settings: Any) -> list[float]:
    """A metric's numbers, summed over batches."""
    tally = Tally([METRICS.standard(name, **settings)], Y.shape[1])
    sums = tally.zeros()
    for start in range(0, len(Y), batch):
        rows = slice(start, start + batch)
        tally.add(sums, 0.0, Y[rows], T[rows])
    row = tally.read(sums, len(Y))
    assert row.pop("loss") == 0.0
    return list(row.values())


@pytest.fixture(params=[1, 2, 4])
def classes(request: pytest.FixtureRequest) -> tuple[Any, Any, Any, Any]:
    """Outputs, targets, and the two as class numbers; one class is rarely taken."""
    outputs: int = request.param
    rng = np.random.default_rng(outputs)
    if outputs == 1:
        Y, T = rng.uniform(size=(60, 1)), rng.integers(0, 2, (60, 1)).astype(float)
        return Y, T, (Y[:, 0] > 0.5).astype(int), T[:, 0].astype(int)
    Y = rng.dirichlet(np.linspace(1, 3, outputs), 60)
    labels = rng.integers(0, outputs, 60)
    return Y, np.eye(outputs)[labels], Y.argmax(axis=1), labels


def test_classification_is_scikit_learns(classes: tuple[Any, Any, Any, Any]) -> None:
    Y, T, taken, labels = classes
    every = list(range(max(Y.shape[1], 2)))
    macro: dict[str, Any] = {"labels": every, "average": "macro", "zero_division": 0}
    apart: dict[str, Any] = {"labels": every, "average": None, "zero_division": 0}
    expected = {
        "accuracy": [theirs.accuracy_score(labels, taken)],
        "precision": [theirs.precision_score(labels, taken, **macro)],
        "recall": [theirs.recall_score(labels, taken, **macro)],
        "f1": [theirs.f1_score(labels, taken, **macro)],
        "precision_per_class": theirs.precision_score(labels, taken, **apart),
        "recall_per_class": theirs.recall_score(labels, taken, **apart),
        "f1_per_class": theirs.f1_score(labels, taken, **apart),
        "support": np.bincount(labels, minlength=len(every)),
        "confusion": theirs.confusion_matrix(labels, taken, labels=every).ravel(),
    }
    if Y.shape[1] > 2:
        expected["top_k_accuracy"] = [theirs.top_k_accuracy_score(labels, Y, k=2, labels=every)]

    for name, value in expected.items():
        settings = {"k": 2} if name == "top_k_accuracy" else {}
        assert list(value) == pytest.approx(measured(name, Y, T, **settings)), name


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_is_scikit_learns(outputs: int) -> None:
    rng = np.random.default_rng(outputs)
    Y, T = rng.normal(size=(50, outputs)), rng.normal(3, 2, (50, outputs))
    expected = {
        "mean_absolute_error": theirs.mean_absolute_error(T, Y),
        "root_mean_squared_error": theirs.mean_squared_error(T, Y) ** 0.5,
        "r2": theirs.r2_score(T, Y),
    }

    for name, value in expected.items():
        assert [value] == pytest.approx(measured(name, Y, T)), name


def test_constant_targets_have_an_r2() -> None:
    flat, off = np.full((6, 1), 2.5), np.full((6, 1), 2.0)

    with warnings.catch_warnings():
        assert measured("r2", flat, flat) == [theirs.r2_score(flat, flat)]
        assert measured("r2", off, flat) == [theirs.r2_score(flat, off)]


def test_the_40_20_40_rule() -> None:
    """
    Below 0.4 is 0 and above 0.6 is 1, for every output of a sample.
    """
    Y = np.array([[0.39, 0.61], [0.41, 0.61], [0.39, 0.59], [0.0, 1.0]])
    T = np.array([[0.0, 1.0]] * 4)

    assert measured("accuracy_within", Y, T) == [0.5]
    assert measured("accuracy_within", Y, T, tolerance=0.1) == [0.25]


def test_every_metric_has_a_column_for_each_number() -> None:
    for name in METRICS:
        metric = METRICS.standard(name)
        for outputs in (1, 2, 5):
            Y = np.random.default_rng(0).uniform(size=(9, outputs))
            T = np.eye(max(outputs, 2))[np.arange(9) % max(outputs, 2)][:, :outputs]
            sums = metric.sums(Y, T)

            assert len(sums) == metric.size(outputs), name
            assert len(metric.read(sums, 9)) == len(metric.columns(outputs)), name
            assert set(metric.best_first(outputs)) == set(metric.columns(outputs)), name
