"""A dataset made ready for one job: split, scaled, in the job's precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backpropd.data.encoding import Encoding
from backpropd.data.splits import Rows, fold, split
from backpropd.data.table import Dataset, Floats
from backpropd.spec.names import SplitMethod
from backpropd.spec.training import FoldSpec, RowsSpec, TrainingSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Arrays to train on and, where rows are held back, to validate on."""

    inputs: Floats
    targets: Floats
    weights: Floats | None  # (N,): how much each sample counts
    validation_inputs: Floats | None
    validation_targets: Floats | None
    encoding: Encoding
    rows: Rows  # of the dataset, that are trained on
    held_back: Rows | None


def prepare(dataset: Dataset, training: TrainingSpec, *, rng: np.random.Generator) -> Prepared:
    """Split by this generator, fit the encoding on the training rows, and apply it to all."""
    rows, held_back = split_rows(dataset, training, rng)
    encoding = Encoding.fit(dataset, rows)
    X = encoding.inputs(dataset.inputs).astype(training.dtype)
    T = encoding.targets(dataset.targets).astype(training.dtype)
    return Prepared(
        inputs=X[rows],
        targets=T[rows],
        weights=_weights(dataset, training, rows),
        validation_inputs=None if held_back is None else X[held_back],
        validation_targets=None if held_back is None else T[held_back],
        encoding=encoding,
        rows=rows,
        held_back=held_back,
    )


def split_rows(
    dataset: Dataset, training: TrainingSpec, rng: np.random.Generator
) -> tuple[Rows, Rows | None]:
    """(rows to learn from, rows held back), by whichever way was asked for."""
    validation = training.validation
    if validation is None:
        return np.arange(dataset.rows), None
    if isinstance(validation, RowsSpec):
        held_back = np.sort(np.array(validation.rows))
        return np.setdiff1d(np.arange(dataset.rows), held_back), held_back
    method = validation.method or default_method(dataset)
    how: dict[str, Any] = {"method": method, "labels": dataset.labels, "groups": dataset.groups}
    if isinstance(validation, FoldSpec):
        return fold(dataset.rows, rng, fold=validation.fold, folds=validation.folds, **how)
    return split(dataset.rows, validation.fraction, rng, **how)


def default_method(dataset: Dataset) -> SplitMethod:
    """How rows are held back where nobody said: by groups, else by classes, else by chance."""
    if dataset.groups is not None:
        return "grouped"
    return "stratified" if dataset.task == "classification" else "random"


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
