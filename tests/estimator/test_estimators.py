"""The estimators by scikit-learn's own checks, and beside a server that trains the same job."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from backpropd import BackpropClassifier, BackpropRegressor, Unsuccessful
from tests.stack import Stack

IRIS = load_iris(return_X_y=True)
QUICK = {"epochs": 100, "batch_size": 16, "random_state": 0}


@parametrize_with_checks([BackpropClassifier(**QUICK), BackpropRegressor(**QUICK)])
def test_scikit_learns_own_checks(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)


def test_iris_is_told_apart_in_a_pipeline() -> None:
    pipeline = make_pipeline(StandardScaler(), BackpropClassifier([8], **QUICK))

    assert cross_val_score(pipeline, *IRIS, cv=3).mean() > 0.93


def test_a_search_finds_its_parameters() -> None:
    search = GridSearchCV(BackpropClassifier([4], **QUICK), {"learning_rate": [1e-6, 0.02]}, cv=2)

    assert {"learning_rate": 0.02} == search.fit(*IRIS).best_params_


def test_training_ends_by_patience_with_the_best_weights() -> None:
    X, y = load_diabetes(return_X_y=True, scaled=True)
    y = (y - y.mean()) / y.std()
    net = BackpropRegressor([16], epochs=2000, validation=0.3, patience=5, random_state=1).fit(X, y)

    assert net.n_iter_ < 2000
    assert net.n_iter_ == len(net.history_["val_loss"])
    assert net.n_iter_ - 5 == net.history_["val_loss"].argmin() + 1
    assert net.score(X, y) > 0.4


def test_several_targets_are_learned_at_once() -> None:
    X = np.random.default_rng(0).normal(size=(100, 3))
    Y = np.stack([X.sum(axis=1), X[:, 0] - X[:, 1]], axis=1)
    net = BackpropRegressor([16], **QUICK).fit(X, Y)

    assert (100, 2) == net.predict(X).shape
    assert net.score(X, Y) > 0.95


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"epochs": 0}, "/training/epochs"),
        ({"activation": "tahn"}, "Did you mean 'tanh'"),
        ({"hidden": [0]}, "/network/layers/0/units"),
        ({"training": {"losss": 1}}, "/training/losss"),
        ({"validation": 1.0}, "/training/validation"),
    ],
)
def test_parameters_that_mean_nothing_are_told_by_their_place(
    parameters: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        BackpropClassifier(**parameters).fit(*IRIS)


def test_numbers_that_leave_what_can_be_counted_are_told() -> None:
    X = np.random.default_rng(0).normal(size=(50, 2)) * 1e6
    net = BackpropRegressor([], optimizer="sgd", learning_rate=1e6, random_state=0)
    with pytest.raises(ValueError, match="diverged in epoch"):
        net.fit(X, X[:, 0])


@pytest.mark.system
def test_a_server_gives_the_same_weights(tmp_path: Path) -> None:
    """Bit for bit, as the job is the same; what was fitted there predicts without it."""
    stack = Stack(tmp_path / "data")
    plain = {"training": {"kernel": "plain"}}
    try:
        here = BackpropClassifier([5], validation=0.2, **QUICK, **plain).fit(*IRIS)
        there = BackpropClassifier([5], validation=0.2, server=stack.address, **QUICK, **plain).fit(
            *IRIS
        )
        wild = BackpropRegressor([], optimizer="sgd", learning_rate=1e9, server=stack.address)
        with pytest.raises(Unsuccessful, match="not finite"):
            wild.fit(*IRIS)
    finally:
        stack.stop()

    np.testing.assert_array_equal(here.fitted_.theta, there.fitted_.theta)
    assert {name: curve.tolist() for name, curve in here.history_.items()} == {
        name: curve.tolist() for name, curve in there.history_.items()
    }
    again = pickle.loads(pickle.dumps(there))
    np.testing.assert_array_equal(here.predict_proba(IRIS[0]), again.predict_proba(IRIS[0]))
