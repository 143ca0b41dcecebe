"""A trained network as it leaves the house: weights, graph, encoding and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.export.steps import LayerSteps, layers_of
from backpropd.spec.build import build_network
from backpropd.spec.network import NetworkSpec

Floats = NDArray[np.floating[Any]]
Weights = dict[str, Floats]


@dataclass(frozen=True, eq=False)
class InputColumn:
    """A column of the training data; of words, its categories in the order of their inputs."""

    name: str
    categories: tuple[str, ...] | None

    @property
    def width(self) -> int:
        """Encoded inputs."""
        return 1 if self.categories is None else len(self.categories)


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that using a trained network takes, apart from this program."""

    network: NetworkSpec
    theta: Floats  # (P,)
    encoding: Mapping[str, Any]  # scaling, fill, classes, ... as the database keeps it
    schema: Mapping[str, Any]  # of the dataset it was trained on
    about: Mapping[str, Any]  # job, epoch, kind, sha256

    @cached_property
    def weights(self) -> Weights:
        """Arrays by name: {layer}.weight (units, fan_in), {layer}.bias (units,), and others."""
        return named_weights(self.network, self.theta)

    @cached_property
    def layers(self) -> list[LayerSteps]:
        """What each layer does, in an order in which it can be done."""
        return layers_of(self.network, self.theta)

    @property
    def output_layer(self) -> str:
        """The layer whose outputs are the network's."""
        return self.network.layers[-1].name

    @property
    def columns(self) -> list[InputColumn]:
        """The input columns, in order."""
        return [
            InputColumn(each["name"], _tuple(each["categories"]))
            for each in self.schema["columns"]
            if each["role"] == "input"
        ]

    @property
    def classes(self) -> tuple[str, ...] | None:
        """In a classification, in the order of the probabilities."""
        return _tuple(self.encoding["classes"]) if self._classifies else None

    @property
    def _classifies(self) -> bool:
        return bool(self.encoding["task"] == "classification")

    @property
    def targets(self) -> tuple[str, ...]:
        """What the outputs are of."""
        return tuple(self.schema["targets"])

    @property
    def fill(self) -> Floats | None:
        """(I,) for missing inputs; None where they are refused."""
        fill = self.encoding["fill"]
        return None if fill is None else np.array(fill, np.float64)

    @property
    def unseen(self) -> list[int]:
        """Inputs of words that no training row has: they are 0 whatever comes."""
        return list(self.encoding["unseen"])

    def scaling(self, of: str = "scaling") -> tuple[Floats, Floats] | None:
        """(shift, scale) of the inputs, or of the targets; None where there is none."""
        kept = self.encoding[of]
        if kept["kind"] == "none":
            return None
        return np.array(kept["shift"], np.float64), np.array(kept["scale"], np.float64)


def _tuple(values: Any) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def named_weights(network: NetworkSpec, theta: Floats) -> Weights:
    """The arrays of a network in its flat parameter vector theta (P,).

    Raises ValueError where theta is another network's.
    """
    if theta.shape != (network.parameter_count,):
        detail = f"theta has shape {theta.shape}, not {network.parameter_count} parameters"
        raise ValueError(detail)
    return build_network(network, dtype=str(theta.dtype)).layout.views(theta)


class MissingExtra(ImportError):
    """A package is not installed that this format needs."""


def needed(module: str, extra: str) -> Any:
    """A module of an optional package; raises MissingExtra, which names what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        detail = f"{module.partition('.')[0]} is not installed: pip install 'backpropd[{extra}]'"
        raise MissingExtra(detail) from error
