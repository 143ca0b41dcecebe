"""The gradient that backward computes, held against central differences of the loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.losses import Loss
from backpropd.engine.network import Network

Draw = Callable[[], np.random.Generator]


def gradient_of(
    network: Network, theta: Array, X: Array, T: Array, *, loss: Loss, draw: Draw | None = None
) -> Array:
    """dE/dtheta (P,) of the mean loss over X (B, I), T (B, O), penalties too, by backpropagation.

    `draw` makes, each time it is called, the same generator anew: then it is the gradient of a
    training step, with the noise and dropout that this generator gives.
    """
    theta = theta.copy()  # running statistics move in training
    gradient = np.zeros_like(theta)
    seen = network.forward(theta, X, rng=draw() if draw else None)
    network.backward(theta, seen, seen.deltas(loss, T), gradient)
    if network.penalty is not None:
        network.penalty.add_gradient(theta, gradient, slice(None))
    return gradient


def check_gradient(
    network: Network,
    theta: Array,
    X: Array,
    T: Array,
    *,
    loss: Loss,
    epsilon: float,
    draw: Draw | None = None,
) -> float:
    """The largest relative error of backward's gradient against central differences.

    Of fourth order, (8 (E(+e) - E(-e)) - (E(+2e) - E(-2e))) / 12 e, so that an epsilon near 1e-3
    leaves little truncation and little rounding (Abramowitz & Stegun 1964, 25.3.6). Relative to the
    largest entry of either gradient, as single entries may be 0, or to what rounding of the loss
    can hide where the whole gradient nearly vanishes.
    """
    analytic = gradient_of(network, theta, X, T, loss=loss, draw=draw)
    numeric = np.zeros_like(theta)

    def loss_at(index: int, steps: int) -> float:
        moved = theta.copy()
        moved[index] += steps * epsilon
        penalty = network.penalty.value(moved) if network.penalty is not None else 0.0
        seen = network.forward(moved, X, rng=draw() if draw else None)
        return float(seen.losses(loss, T).mean()) + penalty

    for index in np.flatnonzero(network.learnable).tolist():
        near = loss_at(index, 1) - loss_at(index, -1)
        far = loss_at(index, 2) - loss_at(index, -2)
        numeric[index] = (8 * near - far) / (12 * epsilon)
    hidden = 1e-4 * (1 + abs(loss_at(0, 0)))
    scale = max(np.abs(analytic).max(), np.abs(numeric).max(), hidden)
    return float(np.abs(analytic - numeric).max() / scale)
