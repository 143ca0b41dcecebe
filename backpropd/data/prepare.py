"""A dataset made ready for one job: split, scaled, in the job's precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backpropd.data.scaling import Scaling
from backpropd.data.splits import split
from backpropd.data.table import Dataset, Floats
from backpropd.spec.training import TrainingSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Arrays to train on and, where rows are held back, to validate on."""

    inputs: Floats
    targets: Floats
    validation_inputs: Floats | None
    validation_targets: Floats | None
    scaling: Scaling


def prepare(dataset: Dataset, training: TrainingSpec, *, rng: np.random.Generator) -> Prepared:
    """Split by this generator, fit the scaling on the training rows, and apply it to all."""
    rows = np.arange(dataset.rows)
    held_back = None
    if training.validation is not None:
        fraction = training.validation.fraction
        rows, held_back = split(dataset.rows, fraction, rng, labels=dataset.labels)
    scaling = Scaling.fit(dataset.inputs[rows], dataset.scaling)
    X = scaling.apply(dataset.inputs).astype(training.dtype)
    T = dataset.targets.astype(training.dtype)
    return Prepared(
        inputs=X[rows],
        targets=T[rows],
        validation_inputs=None if held_back is None else X[held_back],
        validation_targets=None if held_back is None else T[held_back],
        scaling=scaling,
    )
