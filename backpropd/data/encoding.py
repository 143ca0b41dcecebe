"""What a network is given for a row, and what its outputs mean, learned from training rows alone.

Missing values are filled, then numbers scaled; words are one-hot in the dataset's order. A word
that no training row has is as good as unknown: all its columns are 0, as for a word that the
dataset never had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from backpropd.data.scaling import Scaling
from backpropd.data.splits import Rows
from backpropd.data.table import Column, Dataset, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """Fitted on the training rows of a job; kept with it, and used wherever it predicts."""

    scaling: Scaling  # of inputs
    target_scaling: Scaling  # of targets; predictions go back through it
    fill: Floats | None  # (I,) for missing inputs; None where they are refused
    unseen: tuple[int, ...]  # one-hot inputs of words that no training row has
    task: str
    classes: tuple[str, ...] | None

    @classmethod
    def fit(cls, dataset: Dataset, rows: Rows) -> Self:
        """Learn from these rows of a dataset."""
        X = dataset.inputs[rows]
        fill = None if dataset.missing == "refuse" else _fill(dataset, X)
        filled = X if fill is None else np.where(np.isnan(X), fill, X)
        scaling = Scaling.fit(filled, dataset.scaling)
        unseen = []
        for column, place in places(dataset.columns):
            if column.kind != "number":
                scaling.leave(place)
                absent = np.flatnonzero(~filled[:, place].any(axis=0))
                unseen += [place.start + int(index) for index in absent]
        return cls(
            scaling=scaling,
            target_scaling=Scaling.fit(dataset.targets[rows], dataset.target_scaling),
            fill=fill,
            unseen=tuple(unseen),
            task=dataset.task,
            classes=dataset.classes,
        )

    def inputs(self, X: Floats) -> Floats:
        """What the network is given for X (N, I), NaN where missing."""
        if self.fill is not None:
            X = np.where(np.isnan(X), self.fill, X)
        if self.unseen:
            X = X.copy()
            X[:, list(self.unseen)] = 0
        return self.scaling.apply(X)

    def targets(self, T: Floats) -> Floats:
        """What the network is to give for T (N, O)."""
        return self.target_scaling.apply(T)

    def outputs(self, Y: Any) -> Any:
        """A network's outputs Y (N, O) in the targets' own units, as float64 where they scale."""
        return self.target_scaling.undo(Y)

    def to_json(self) -> dict[str, Any]:
        """For the database: everything that predicting needs."""
        return {
            "scaling": self.scaling.to_json(),
            "target_scaling": self.target_scaling.to_json(),
            "fill": None if self.fill is None else self.fill.tolist(),
            "unseen": list(self.unseen),
            "task": self.task,
            "classes": None if self.classes is None else list(self.classes),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(
            scaling=Scaling.from_json(value["scaling"]),
            target_scaling=Scaling.from_json(value["target_scaling"]),
            fill=None if value["fill"] is None else np.array(value["fill"]),
            unseen=tuple(value["unseen"]),
            task=value["task"],
            classes=None if value["classes"] is None else tuple(value["classes"]),
        )


def places(columns: Sequence[Column]) -> Iterator[tuple[Column, slice]]:
    """Each input column, and where it lies among the encoded ones."""
    start = 0
    for column in columns:
        if column.role == "input":
            yield column, slice(start, start + column.width)
            start += column.width


def _fill(dataset: Dataset, X: Floats) -> Floats:
    """(I,): what stands for a missing value, by the dataset's rule; 0 where there is no value."""
    fill = np.zeros(X.shape[1])
    for column, place in places(dataset.columns):
        known = X[~np.isnan(X[:, place.start]), place]
        if not len(known):
            continue
        if column.kind != "number":
            fill[place.start + int(known.sum(axis=0).argmax())] = 1
        elif dataset.missing == "mean":
            fill[place] = known.mean()
        elif dataset.missing == "median":
            fill[place] = np.median(known)
        else:
            values, counts = np.unique(known, return_counts=True)
            fill[place] = values[counts.argmax()]  # of equally frequent ones the smallest
    return fill
