"""The error of all samples as a function of theta, for the optimizers of second_order.py."""

from __future__ import annotations

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.losses import Loss
from backpropd.engine.network import Network


class BatchObjective:
    """E(theta) over samples X (B, I) with targets T (B, O) and weights (B,), penalties included."""

    def __init__(
        self, network: Network, loss: Loss, X: Array, T: Array, weights: Array | None
    ) -> None:
        self.network, self.loss, self.X, self.T, self.weights = network, loss, X, T, weights

    def value(self, theta: Array) -> float:
        """E at theta (P,)."""
        losses = self.network.forward(theta, self.X).losses(self.loss, self.T)
        if self.weights is not None:
            losses = losses * self.weights
        penalty = self.network.penalty
        extra = 0.0 if penalty is None else penalty.value(theta)
        return float(losses.mean(dtype=np.float64)) + extra

    def gradient(self, theta: Array) -> Array:
        """dE/dtheta (P,), 0 where theta is frozen."""
        gradient = np.zeros_like(theta)
        seen = self.network.forward(theta, self.X)
        delta = seen.deltas(self.loss, self.T, weights=self.weights)
        self.network.backward(theta, seen, delta, gradient)
        if self.network.penalty is not None:
            self.network.penalty.add_gradient(theta, gradient, slice(None))
        if self.network.frozen is not None:
            gradient[self.network.frozen] = 0
        return gradient

    def residuals(self, theta: Array) -> tuple[Array, Array]:
        """r (R,) with E = 1/2 sum r^2, and dr/dtheta (R, P), 0 where theta is frozen.

        R are the outputs of all samples and, where there are l2 penalties, every parameter.
        """
        seen = self.network.forward(theta, self.X)
        B, outputs = self.T.shape
        scale = np.full((B, 1), 2 * self.loss.factor(outputs) / B, theta.dtype)
        if self.weights is not None:
            scale *= self.weights[:, None]
        scale = np.sqrt(scale)
        r = (scale * (seen.output - self.T)).ravel()
        J = (scale[:, :, None] * self.network.jacobian(theta, seen)).reshape(B * outputs, -1)
        if self.network.penalty is not None:
            root = np.sqrt(self.network.penalty.l2)
            r, J = np.concatenate([r, root * theta]), np.concatenate([J, np.diag(root)])
        if self.network.frozen is not None:
            J[:, self.network.frozen] = 0
        return r, J
