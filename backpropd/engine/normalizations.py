"""Normalizations: net inputs brought to mean 0 and variance 1 before the activation.

A new one is one class in this file. What it learns (a gain and a shift for each unit) and what it
remembers (running statistics, which nothing trains) are arrays (units,) in theta like all others,
so that snapshots, resumes and exports hold them without knowing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.parts import Part, Registry, setting


class Normalization(Part):
    """Maps net inputs (B, units) to normalized ones, and dE/d of these back."""

    arrays: ClassVar[Mapping[str, float]]  # name -> what each entry starts at
    trained: ClassVar[tuple[str, ...]] = ("gain", "shift")

    def forward(self, net: Array, own: Mapping[str, Array], *, training: bool) -> tuple[Array, Any]:
        """Z (B, units), and what backward needs; in training, running statistics move."""
        raise NotImplementedError

    def backward(
        self, dZ: Array, seen: Any, own: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        """dE/dnet (B, units), and dE/d of the trained arrays."""
        raise NotImplementedError


NORMALIZATIONS: Registry[Normalization] = Registry("normalization")


def _trained(dZ: Array, normal: Array) -> dict[str, Array]:
    return {"gain": (dZ * normal).sum(axis=0), "shift": dZ.sum(axis=0)}


@NORMALIZATIONS.add("batch_norm")
@dataclass(frozen=True, kw_only=True)
class BatchNorm(Normalization):
    """Each unit over the samples of a batch; outside training, by running statistics."""

    formula = "gain * (net - mean) / sqrt(variance + epsilon) + shift, over the batch"
    source = "Ioffe & Szegedy 2015, algorithm 1; running variance unbiased, as in PyTorch"
    arrays: ClassVar[Mapping[str, float]] = {
        "gain": 1.0,
        "shift": 0.0,
        "running_mean": 0.0,
        "running_variance": 1.0,
    }
    momentum: float = setting(0.1, "Share of a batch in running statistics.", above=0, most=1)
    epsilon: float = setting(1e-5, "Added to the variance.", above=0, most=1)

    def forward(self, net: Array, own: Mapping[str, Array], *, training: bool) -> tuple[Array, Any]:
        if training:
            mean, variance = net.mean(axis=0), net.var(axis=0)
            self._remember(own["running_mean"], mean)
            unbiased = variance * (len(net) / max(len(net) - 1, 1))
            self._remember(own["running_variance"], unbiased)
        else:
            mean, variance = own["running_mean"], own["running_variance"]
        inverse = 1 / np.sqrt(variance + self.epsilon)
        normal = (net - mean) * inverse
        return own["gain"] * normal + own["shift"], (normal, inverse, training)

    def backward(
        self, dZ: Array, seen: Any, own: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        normal, inverse, training = seen
        d = dZ * own["gain"]
        if training:  # mean and variance depend on every sample
            d = d - d.mean(axis=0) - normal * (d * normal).mean(axis=0)
        return d * inverse, _trained(dZ, normal)

    def _remember(self, running: Array, now: Array) -> None:
        running *= 1 - self.momentum
        running += self.momentum * now


@NORMALIZATIONS.add("layer_norm")
@dataclass(frozen=True, kw_only=True)
class LayerNorm(Normalization):
    """Each sample over the units of the layer; in training and outside alike."""

    formula = "gain * (net - mean) / sqrt(variance + epsilon) + shift, over the layer's units"
    source = "Ba, Kiros & Hinton 2016, eq. 4"
    arrays: ClassVar[Mapping[str, float]] = {"gain": 1.0, "shift": 0.0}
    epsilon: float = setting(1e-5, "Added to the variance.", above=0, most=1)

    def forward(self, net: Array, own: Mapping[str, Array], *, training: bool) -> tuple[Array, Any]:
        mean, variance = net.mean(axis=1, keepdims=True), net.var(axis=1, keepdims=True)
        inverse = 1 / np.sqrt(variance + self.epsilon)
        normal = (net - mean) * inverse
        return own["gain"] * normal + own["shift"], (normal, inverse)

    def backward(
        self, dZ: Array, seen: Any, own: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        normal, inverse = seen
        d = dZ * own["gain"]
        dnet = d - d.mean(axis=1, keepdims=True) - normal * (d * normal).mean(axis=1, keepdims=True)
        return dnet * inverse, _trained(dZ, normal)
