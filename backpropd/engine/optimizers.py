"""Optimizers: how theta moves against its gradient.

A new one is one class in the mapping at the end. It works on any stretch of theta with the stretch
of its own state vectors (slots) beside it, so that the layerwise update order needs no second copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from backpropd.engine.arrays import Array


class Optimizer(Protocol):
    """Moves a stretch of theta in place."""

    @property
    def slots(self) -> int:
        """How many state vectors as long as theta it keeps."""
        ...

    def update(
        self, theta: Array, gradient: Array, slots: Array, *, learning_rate: float, step: int
    ) -> None:
        """Move theta (p,), by its gradient (p,) and state slots (n, p); `step` counts from 1."""
        ...


@dataclass(frozen=True, slots=True)
class Sgd:
    """Gradient descent with momentum: Rumelhart, Hinton & Williams 1986, eq. 9 (Nature).

    delta(t) = -learning_rate * gradient + momentum * delta(t - 1); theta += delta(t).
    Keras and scikit-learn write it so; PyTorch keeps v = momentum * v + gradient and moves by
    -learning_rate * v, which differs only while the learning rate changes.
    """

    momentum: float

    @property
    def slots(self) -> int:
        return 1 if self.momentum else 0

    def update(
        self, theta: Array, gradient: Array, slots: Array, *, learning_rate: float, step: int
    ) -> None:
        if not self.momentum:
            theta -= learning_rate * gradient
            return
        delta = slots[0]
        delta *= self.momentum
        delta -= learning_rate * gradient
        theta += delta


OPTIMIZERS: Mapping[str, type[Sgd]] = MappingProxyType({"sgd": Sgd})
