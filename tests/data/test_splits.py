"""Which rows are learned from, which held back, and how much each counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backpropd.data.builtin import builtin
from backpropd.data.prepare import prepare
from backpropd.data.splits import fold
from backpropd.spec.base import parse
from backpropd.spec.training import TrainingSpec


def training(**changes: Any) -> TrainingSpec:
    return parse(TrainingSpec, {"loss": "cross_entropy", **changes})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@given(
    rows=st.integers(2, 60),
    folds=st.integers(2, 10),
    labelled=st.booleans(),
    seed=st.integers(0, 99),
)
def test_folds_are_disjoint_and_cover_every_row(
    rows: int, folds: int, labelled: bool, seed: int
) -> None:
    folds = min(folds, rows)
    labels = rng(seed).integers(0, 3, rows) if labelled else None
    how: dict[str, Any] = {"labels": labels, "groups": None}
    how["method"] = "stratified" if labelled else "random"
    parts = [fold(rows, rng(seed), fold=k, folds=folds, **how) for k in range(folds)]

    held = np.concatenate([held_back for _, held_back in parts])
    assert sorted(held.tolist()) == list(range(rows))
    for learned, held_back in parts:
        assert sorted([*learned.tolist(), *held_back.tolist()]) == list(range(rows))
        assert rows // folds <= len(held_back) <= rows // folds + 1
    if labels is not None:
        for label in np.unique(labels):
            counts = [int((labels[held_back] == label).sum()) for _, held_back in parts]
            assert max(counts) - min(counts) <= 1


def test_given_rows_are_held_back() -> None:
    iris = builtin("iris")
    ready = prepare(iris, training(validation={"rows": [149, 0, 77]}), rng=rng())

    assert ready.validation_targets is not None
    assert (ready.validation_targets == iris.targets[[0, 77, 149]]).all()
    assert len(ready.inputs) == 147


def test_a_fold_of_a_job_is_the_same_for_every_job_of_its_seed() -> None:
    iris = builtin("iris")
    spec = training(validation={"folds": 5, "fold": 2})
    one, same, other = (prepare(iris, spec, rng=rng(seed)) for seed in (1, 1, 2))

    assert (one.inputs == same.inputs).all()
    assert (one.inputs != other.inputs).any()
    assert len(one.targets) == 120
    assert one.validation_targets is not None
    assert one.validation_targets.sum(axis=0).tolist() == [10, 10, 10]


def test_balanced_classes_count_alike() -> None:
    cancer = builtin("breast_cancer")
    ready = prepare(cancer, training(class_weights="balanced"), rng=rng())
    labels = ready.targets.argmax(axis=1)

    assert ready.weights is not None
    sums = [ready.weights[labels == label].sum() for label in (0, 1)]
    assert sums[0] == pytest.approx(sums[1])
    assert ready.weights.mean() == pytest.approx(1.0)


def test_weights_of_classes_and_samples_multiply() -> None:
    iris = builtin("iris")
    own = np.linspace(0.5, 2, 150)
    spec = training(
        class_weights=[1.0, 2.0, 3.0],
        sample_weights=own.tolist(),
        validation={"rows": [0, 1]},
        dtype="float32",
    )
    ready = prepare(iris, spec, rng=rng())

    assert ready.weights is not None
    assert ready.weights.dtype == np.float32
    expected = own * np.repeat([1.0, 2.0, 3.0], 50)
    assert ready.weights == pytest.approx(expected[2:], rel=1e-6)


def test_nothing_weighs_where_nothing_is_said() -> None:
    assert prepare(builtin("iris"), training(), rng=rng()).weights is None
