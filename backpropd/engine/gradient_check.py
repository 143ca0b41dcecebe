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
    """The largest relative error of backward's gradient against (E(+eps) - E(-eps)) / 2 eps.

    Relative to the largest entry of either, as single entries may be 0; in float64 an epsilon near
    1e-5 balances truncation against rounding (Bishop 1995, section 4.8.4).
    """
    analytic = gradient_of(network, theta, X, T, loss=loss)
    numeric = np.empty_like(theta)
    for index in range(theta.size):
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[index] += sign * epsilon
            seen = network.forward(moved, X)
            ends.append(loss.value(seen.net_output, seen.output, T).mean())
        numeric[index] = (ends[0] - ends[1]) / (2 * epsilon)
    scale = max(np.abs(analytic).max(), np.abs(numeric).max(), 1e-8)
    return float(np.abs(analytic - numeric).max() / scale)
