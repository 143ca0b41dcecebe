"""Activation functions: a unit's output Y from its net input Z, and the derivative on the way back.

A new one is one `Activation` added to the tuple at the end. `backward` takes dE/dY (B, O) and gives
dE/dZ (B, O), so that softmax, whose outputs depend on every net input, needs no exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from backpropd.engine.arrays import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """One activation function with its formula, derivative and source."""

    name: str
    formula: str  # y of z, as a textbook prints it
    derivative: str  # dy/dz, in terms of y where that is shorter
    source: str
    forward: Callable[[Array], Array]  # Z -> Y
    backward: Callable[[Array, Array, Array], Array]  # dE/dY, Z, Y -> dE/dZ
    smooth: bool = True  # a kink makes central differences meaningless where it is crossed
    elementwise: bool = True  # each output depends on its own net input alone


def _logistic(Z: Array) -> Array:
    e = np.exp(-np.abs(Z))  # never above 1, so nothing overflows
    return np.where(Z >= 0, 1 / (1 + e), e / (1 + e))


def _softmax(Z: Array) -> Array:
    E = np.exp(Z - Z.max(axis=-1, keepdims=True))
    out: Array = E / E.sum(axis=-1, keepdims=True)
    return out


def _softmax_backward(dY: Array, Z: Array, Y: Array) -> Array:
    out: Array = Y * (dY - (dY * Y).sum(axis=-1, keepdims=True))
    return out


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        activation.name: activation
        for activation in (
            Activation(
                name="logistic",
                formula="1 / (1 + exp(-z))",
                derivative="y * (1 - y)",
                source="Rumelhart, Hinton & Williams 1986, eq. 15 of PDP vol. 1, ch. 8",
                forward=_logistic,
                backward=lambda dY, Z, Y: dY * Y * (1 - Y),
            ),
            Activation(
                name="tanh",
                formula="tanh(z)",
                derivative="1 - y^2",
                source="LeCun et al. 1998, Efficient BackProp, section 4.4",
                forward=np.tanh,
                backward=lambda dY, Z, Y: dY * (1 - Y * Y),
            ),
            Activation(
                name="relu",
                formula="max(0, z)",
                derivative="1 where z > 0, else 0",
                source="Nair & Hinton 2010",
                forward=lambda Z: np.maximum(Z, 0),
                backward=lambda dY, Z, Y: dY * (Z > 0),
                smooth=False,
            ),
            Activation(
                name="linear",
                formula="z",
                derivative="1",
                source="Widrow & Hoff 1960",
                forward=np.positive,
                backward=lambda dY, Z, Y: dY,
            ),
            Activation(
                name="softmax",
                formula="exp(z_j) / sum_k exp(z_k)",
                derivative="y_j * (1 - y_j) on the diagonal, -y_j * y_k beside it",
                source="Bridle 1990",
                forward=_softmax,
                backward=_softmax_backward,
                elementwise=False,
            ),
        )
    }
)
