"""A trained network with the encoding it was trained in: rows in, what they mean out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backpropd.data.encoding import Encoding
from backpropd.data.table import Column, Floats
from backpropd.spec.build import build_network
from backpropd.spec.network import NetworkSpec


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Weights theta (P,) of a network, and what its inputs and outputs mean."""

    network: NetworkSpec
    theta: NDArray[np.floating[Any]]
    encoding: Encoding
    columns: tuple[Column, ...]  # of the dataset it was trained on
    input_names: tuple[str, ...]  # encoded
    target_names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        network: NetworkSpec,
        theta: NDArray[np.floating[Any]],
        encoding: Mapping[str, Any],
        schema: Mapping[str, Any],
    ) -> Self:
        """From what the database keeps of a job and its dataset, as JSON."""
        return cls(
            network=network,
            theta=theta,
            encoding=Encoding.from_json(encoding),
            columns=tuple(Column.from_json(column) for column in schema["columns"]),
            input_names=tuple(schema["inputs"]),
            target_names=tuple(schema["targets"]),
        )

    @property
    def input_columns(self) -> tuple[Column, ...]:
        """Columns a row has, before words are one-hot."""
        return tuple(column for column in self.columns if column.role == "input")

    def outputs(self, X: Floats) -> NDArray[np.floating[Any]]:
        """(N, O) in the targets' own units, for encoded rows X (N, I), NaN where missing."""
        network = build_network(self.network, dtype=str(self.theta.dtype))
        # Scaled, the largest inputs may be infinite: what comes of it is told, not raised.
        with np.errstate(over="ignore", invalid="ignore"):
            ready = self.encoding.inputs(X).astype(network.dtype)
            out: NDArray[np.floating[Any]] = self.encoding.outputs(
                network.predict(self.theta, ready)
            )
        return out

    @property
    def classes(self) -> tuple[str, ...] | None:
        """In a classification, the classes in the order of the probabilities."""
        return self.encoding.classes if self.encoding.task == "classification" else None

    def probabilities(self, Y: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """(N, K): how sure the network is of each class, from its outputs Y (N, O)."""
        if Y.shape[1] > 1:
            return Y
        return np.concatenate([1 - Y, Y], axis=1)  # one output: how far it is the second class

    def labels(self, Y: NDArray[np.floating[Any]]) -> Sequence[str]:
        """Each row's class, from outputs Y (N, O)."""
        assert self.classes is not None
        return [self.classes[k] for k in self.probabilities(Y).argmax(axis=1)]
