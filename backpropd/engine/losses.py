"""Losses: how far the outputs Y (B, O) are from the targets T (B, O), and the first delta.

A new one is one `Loss` added to the tuple at the end. A batch's loss is the mean over its samples;
within a sample each loss says itself whether its outputs are summed or averaged. Texts differ in
both and in the factor 1/2: `half_squared_error` is Mazur's and Rumelhart's, `mean_squared_error`
is Keras's and PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from backpropd.engine.activations import Activation
from backpropd.engine.arrays import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One loss with its formula, gradient and source."""

    name: str
    formula: str  # E of one sample
    source: str
    terms: Callable[[Array, Array, Array], Array]  # Z, Y, T -> what each output adds to E, (B, O)
    gradient: Callable[[Array, Array], Array]  # Y, T -> dE/dY (B, O)
    outputs: frozenset[str] | None = None  # output activations it goes with; None is any
    # Y, T -> dE/dZ, where the activation's derivative cancels against the loss's.
    fused_delta: Callable[[Array, Array], Array] | None = None
    fault_of: Callable[[Array], str | None] = lambda T: None  # what T can't be, as a sentence

    def value(self, Z: Array, Y: Array, T: Array) -> Array:
        """E of each sample (B,), from net inputs Z, outputs Y and targets T, all (B, O)."""
        out: Array = self.terms(Z, Y, T).sum(axis=-1)
        return out

    def delta(self, activation: Activation, Z: Array, Y: Array, T: Array) -> Array:
        """dE/dZ (B, O) at the output layer."""
        if self.fused_delta is not None:
            return self.fused_delta(Y, T)
        return activation.backward(self.gradient(Y, T), Z, Y)


def _log_softmax(Z: Array) -> Array:
    shifted = Z - Z.max(axis=-1, keepdims=True)
    out: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out


def _binary_terms(Z: Array, Y: Array, T: Array) -> Array:
    # -t log y - (1 - t) log(1 - y) with y = logistic(z), written so that no logarithm meets a 0.
    out: Array = (np.maximum(Z, 0) - Z * T + np.log1p(np.exp(-np.abs(Z)))) / T.shape[-1]
    return out


def _binary_gradient(Y: Array, T: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        out: Array = (Y - T) / (Y * (1 - Y)) / T.shape[-1]
    return out


def _categorical_gradient(Y: Array, T: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        out: Array = np.where(T == 0, 0.0, -T / Y).astype(Y.dtype)
    return out


def _fault_of_probabilities(T: Array) -> str | None:
    if T.min() < 0 or T.max() > 1:
        return f"targets lie between 0 and 1; these go from {T.min():g} to {T.max():g}"
    return None


def _fault_of_distribution(T: Array) -> str | None:
    fault = _fault_of_probabilities(T)
    if fault is None and np.abs(T.sum(axis=-1) - 1).max() > 1e-6:
        return "each row of targets is a distribution over the classes and sums to 1"
    return fault


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        loss.name: loss
        for loss in (
            Loss(
                name="half_squared_error",
                formula="1/2 * sum_j (t_j - y_j)^2",
                source="Rumelhart, Hinton & Williams 1986, eq. 2 of PDP vol. 1, ch. 8; Mazur 2015",
                terms=lambda Z, Y, T: 0.5 * (T - Y) ** 2,
                gradient=lambda Y, T: Y - T,
            ),
            Loss(
                name="mean_squared_error",
                formula="1/O * sum_j (t_j - y_j)^2",
                source="Bishop 1995, section 6.1, averaged over outputs as Keras and PyTorch do",
                terms=lambda Z, Y, T: (T - Y) ** 2 / T.shape[-1],
                gradient=lambda Y, T: 2 / T.shape[-1] * (Y - T),
            ),
            Loss(
                name="binary_cross_entropy",
                formula="-1/O * sum_j t_j log y_j + (1 - t_j) log(1 - y_j)",
                source="Bishop 1995, eq. 6.120, averaged over outputs as Keras and PyTorch do",
                terms=_binary_terms,
                gradient=_binary_gradient,
                outputs=frozenset({"logistic"}),
                fused_delta=lambda Y, T: (Y - T) / T.shape[-1],
                fault_of=_fault_of_probabilities,
            ),
            Loss(
                name="cross_entropy",
                formula="-sum_j t_j log y_j",
                source="Bishop 1995, eq. 6.145; Bridle 1990",
                terms=lambda Z, Y, T: -np.where(T == 0, 0, T * _log_softmax(Z)),
                gradient=_categorical_gradient,
                outputs=frozenset({"softmax"}),
                fused_delta=lambda Y, T: Y - T,
                fault_of=_fault_of_distribution,
            ),
        )
    }
)
