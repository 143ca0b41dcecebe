"""The gradient that backward computes, held against central differences of the loss."""

from __future__ import annotations

import numpy as np

from backpropd.engine.activations import ACTIVATIONS
from backpropd.engine.arrays import Array
from backpropd.engine.losses import Loss
from backpropd.engine.network import Network


def gradient_of(network: Network, theta: Array, X: Array, T: Array, *, loss: Loss) -> Array:
    """dE/dtheta (P,) of the mean loss over samples X (B, I), T (B, O), by backpropagation."""
    seen = network.forward(theta, X)
    activation = ACTIVATIONS[network.output_layer.activation]
    delta = loss.delta(activation, seen.net_output, seen.output, T) / len(X)
    gradient = np.zeros_like(theta)
    network.backward(theta, seen, delta, gradient)
    return gradient


def check_gradient(
    network: Network, theta: Array, X: Array, T: Array, *, loss: Loss, epsilon: float
) -> float:
    """The largest relative error of backward's gradient against central differences.

    Of fourth order, (8 (E(+e) - E(-e)) - (E(+2e) - E(-2e))) / 12 e, so that an epsilon near 1e-3
    leaves little truncation and little rounding (Abramowitz & Stegun 1964, 25.3.6). Relative to the
    largest entry of either gradient, as single entries may be 0.
    """
    analytic = gradient_of(network, theta, X, T, loss=loss)
    numeric = np.empty_like(theta)

    def loss_at(index: int, steps: int) -> float:
        moved = theta.copy()
        moved[index] += steps * epsilon
        seen = network.forward(moved, X)
        return float(loss.value(seen.net_output, seen.output, T).mean())

    for index in range(theta.size):
        near = loss_at(index, 1) - loss_at(index, -1)
        far = loss_at(index, 2) - loss_at(index, -2)
        numeric[index] = (8 * near - far) / (12 * epsilon)
    scale = max(np.abs(analytic).max(), np.abs(numeric).max(), 1e-8)
    return float(np.abs(analytic - numeric).max() / scale)
