"""A dataset made ready for one job: split, scaled, in the job's precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backpropd.data.scaling import Scaling
from backpropd.data.splits import Rows, fold, split
from backpropd.data.table import Dataset, Floats
from backpropd.spec.training import FoldSpec, RowsSpec, TrainingSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Arrays to train on and, where rows are held back, to validate on."""

    inputs: Floats
    targets: Floats
    weights: Floats | None  # (N,): how much each sample counts
    validation_inputs: Floats | None
    validation_targets: Floats | None
    scaling: Scaling


def prepare(dataset: Dataset, training: TrainingSpec, *, rng: np.random.Generator) -> Prepared:
    """Split by this generator, fit the scaling on the training rows, and apply it to all."""
    rows, held_back = _split(dataset, training, rng)
    scaling = Scaling.fit(dataset.inputs[rows], dataset.scaling)
    X = scaling.apply(dataset.inputs).astype(training.dtype)
    T = dataset.targets.astype(training.dtype)
    return Prepared(
        inputs=X[rows],
        targets=T[rows],
        weights=_weights(dataset, training, rows),
        validation_inputs=None if held_back is None else X[held_back],
        validation_targets=None if held_back is None else T[held_back],
        scaling=scaling,
    )


def _split(
    dataset: Dataset, training: TrainingSpec, rng: np.random.Generator
) -> tuple[Rows, Rows | None]:
    """(rows to learn from, rows held back), by whichever way was asked for."""
    validation = training.validation
    if validation is None:
        return np.arange(dataset.rows), None
    if isinstance(validation, RowsSpec):
        held_back = np.sort(np.array(validation.rows))
        return np.setdiff1d(np.arange(dataset.rows), held_back), held_back
    if isinstance(validation, FoldSpec):
        place = {"fold": validation.fold, "folds": validation.folds}
        return fold(dataset.rows, rng, labels=dataset.labels, **place)
    return split(dataset.rows, validation.fraction, rng, labels=dataset.labels)


def _weights(dataset: Dataset, training: TrainingSpec, rows: Rows) -> Floats | None:
    """How much each training sample counts; "balanced" is N / (K * samples of the class)."""
    weights = None
    if training.sample_weights is not None:
        weights = np.array(training.sample_weights)[rows]
    if training.class_weights is not None and dataset.labels is not None:
        labels = dataset.labels[rows]
        if training.class_weights == "balanced":
            counts = np.bincount(labels)
            of_class = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        else:
            of_class = np.array(training.class_weights)
        weights = of_class[labels] if weights is None else weights * of_class[labels]
    return None if weights is None else weights.astype(training.dtype)
