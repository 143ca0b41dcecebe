"""Losses: how far the outputs Y (B, O) are from the targets T (B, O), and the first delta.

A new one is one class in this file. A batch's loss is the mean over its samples; within a sample
each loss says itself whether its outputs are summed or averaged. Texts differ in both and in the
factor 1/2: `half_squared_error` is Mazur's and Rumelhart's, `mean_squared_error` is Keras's and
PyTorch's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from backpropd.engine.activations import Activation
from backpropd.engine.arrays import Array
from backpropd.engine.parts import Part, Registry, setting

TINY = 1e-12


class Loss(Part):
    """One loss with its gradient."""

    outputs: ClassVar[tuple[str, ...] | None] = None  # output activations it goes with; None is any
    outputs_within: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # what it is made for
    squared: ClassVar[bool] = False  # a sum of squares, as Levenberg-Marquardt needs

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        """What each output adds to E (B, O); Z is the net input, times `logit_slope`."""
        raise NotImplementedError

    def gradient(self, Y: Array, T: Array) -> Array:
        """dE/dY (B, O)."""
        raise NotImplementedError

    def fused_delta(self, Y: Array, T: Array) -> Array | None:
        """dE/dZ, where the activation's derivative cancels against the loss's; else None."""
        return None

    def fault_of(self, T: Array) -> str | None:
        """What these targets (N, O) can't be, as a sentence."""
        return None

    def distance_to_kink(self, Y: Array, T: Array) -> Array:
        """How far each output is from where the derivative jumps."""
        return np.full_like(Y, np.inf)

    def factor(self, outputs: int) -> float:
        """Of a squared loss: E = factor * sum_j (t_j - y_j)^2."""
        raise NotImplementedError

    def value(self, Z: Array, Y: Array, T: Array) -> Array:
        """E of each sample (B,), from net inputs Z, outputs Y and targets T, all (B, O)."""
        return self.terms(Z, Y, T).sum(axis=-1)

    def deltas(self, activation: Activation, Z: Array, Y: Array, T: Array) -> Array:
        """dE/dZ (B, O) at the output layer."""
        fused = self.fused_delta(Y, T)
        if fused is not None:
            return fused if activation.logit_slope == 1 else fused * activation.logit_slope
        return activation.backward(self.gradient(Y, T), Z, Y)


LOSSES: Registry[Loss] = Registry("loss")


def _log_softmax(Z: Array) -> Array:
    shifted = Z - Z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _fault_of_probabilities(T: Array) -> str | None:
    if T.min() < 0 or T.max() > 1:
        return f"targets lie between 0 and 1; these go from {T.min():g} to {T.max():g}"
    return None


@LOSSES.add("half_squared_error")
@dataclass(frozen=True, kw_only=True)
class HalfSquaredError(Loss):
    """Half the sum of squares, so that its derivative is the bare difference."""

    formula = "1/2 * sum_j (t_j - y_j)^2"
    source = "Rumelhart, Hinton & Williams 1986, eq. 2 of PDP vol. 1, ch. 8; Mazur 2015"
    squared = True

    def factor(self, outputs: int) -> float:
        return 0.5

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        return 0.5 * (T - Y) ** 2

    def gradient(self, Y: Array, T: Array) -> Array:
        return Y - T


@LOSSES.add("mean_squared_error")
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(Loss):
    """The mean of squares over the outputs."""

    formula = "1/O * sum_j (t_j - y_j)^2"
    source = "Bishop 1995, section 6.1, averaged over outputs as Keras and PyTorch do"
    squared = True

    def factor(self, outputs: int) -> float:
        return 1 / outputs

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        return (T - Y) ** 2 / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        return 2 / T.shape[-1] * (Y - T)


@LOSSES.add("sum_squared_error")
@dataclass(frozen=True, kw_only=True)
class SumSquaredError(Loss):
    """The sum of squares over the outputs, without the 1/2."""

    formula = "sum_j (t_j - y_j)^2"
    source = "Rojas 1996, Neural Networks, section 7.1, without the factor 1/2; SNNS's SSE"
    squared = True

    def factor(self, outputs: int) -> float:
        return 1.0

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        return (T - Y) ** 2

    def gradient(self, Y: Array, T: Array) -> Array:
        return 2 * (Y - T)


@LOSSES.add("mean_absolute_error")
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Loss):
    """The mean distance: far outliers pull no harder than near ones."""

    formula = "1/O * sum_j |t_j - y_j|"
    source = "Bishop 1995, section 6.2 (R = 1); Keras and PyTorch (L1Loss)"

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        return np.abs(T - Y) / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        return np.sign(Y - T) / T.shape[-1]

    def distance_to_kink(self, Y: Array, T: Array) -> Array:
        return np.abs(Y - T)


@LOSSES.add("huber")
@dataclass(frozen=True, kw_only=True)
class Huber(Loss):
    """Square near the target, straight beyond delta."""

    formula = "1/O * sum_j (e_j^2 / 2 where |e_j| <= delta, else delta * (|e_j| - delta / 2))"
    source = "Huber 1964, eq. 2.4 of section 2; Keras and PyTorch (HuberLoss)"
    delta: float = setting(1.0, "delta: where the square ends.", above=0)

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        e = np.abs(T - Y)
        near = np.minimum(e, self.delta)  # so that a far error is never squared
        return (near * near / 2 + self.delta * (e - near)) / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        return np.clip(Y - T, -self.delta, self.delta) / T.shape[-1]

    def distance_to_kink(self, Y: Array, T: Array) -> Array:
        return np.abs(np.abs(Y - T) - self.delta)


@LOSSES.add("log_cosh")
@dataclass(frozen=True, kw_only=True)
class LogCosh(Loss):
    """Nearly half the square for small errors, nearly the distance for large ones, all smooth."""

    formula = "1/O * sum_j log(cosh(t_j - y_j))"
    source = "Green 1990; Keras (LogCosh)"

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        e = np.abs(T - Y)
        return (e + np.log1p(np.exp(-2 * e)) - math.log(2)) / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        return np.tanh(Y - T) / T.shape[-1]


@LOSSES.add("binary_cross_entropy")
@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Loss):
    """Each output is the probability of a yes of its own; computed from the net inputs."""

    formula = "-1/O * sum_j t_j log y_j + (1 - t_j) log(1 - y_j), t = (1 - s) t + s / 2"
    source = "Bishop 1995, eq. 6.120, averaged over outputs as Keras and PyTorch do"
    outputs = ("logistic",)
    outputs_within = (0.0, 1.0)
    label_smoothing: float = setting(0.0, "s: how far targets move to 1/2.", least=0, below=1)

    def smooth(self, T: Array) -> Array:
        """Targets, moved towards 1/2."""
        s = self.label_smoothing
        return T * (1 - s) + s / 2 if s else T

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        # With y = logistic(z), written so that no logarithm meets a 0.
        T = self.smooth(T)
        return (np.maximum(Z, 0) - Z * T + np.log1p(np.exp(-np.abs(Z)))) / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (Y - self.smooth(T)) / (Y * (1 - Y)) / T.shape[-1]

    def fused_delta(self, Y: Array, T: Array) -> Array | None:
        return (Y - self.smooth(T)) / T.shape[-1]

    def fault_of(self, T: Array) -> str | None:
        return _fault_of_probabilities(T)


@LOSSES.add("cross_entropy")
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """Outputs are a distribution over the classes; computed from the net inputs."""

    formula = "-sum_j t_j log y_j, t = (1 - s) t + s / O"
    source = "Bishop 1995, eq. 6.145; Bridle 1990; smoothing: Szegedy et al. 2016, section 7"
    outputs = ("softmax",)
    outputs_within = (0.0, 1.0)
    label_smoothing: float = setting(0.0, "s: how far targets move to 1/O.", least=0, below=1)

    def smooth(self, T: Array) -> Array:
        """Targets, moved towards the uniform distribution."""
        s = self.label_smoothing
        return T * (1 - s) + s / T.shape[-1] if s else T

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        T = self.smooth(T)
        return -np.where(T == 0, 0, T * _log_softmax(Z))

    def gradient(self, Y: Array, T: Array) -> Array:
        T = self.smooth(T)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(T == 0, 0.0, -T / Y).astype(Y.dtype)

    def fused_delta(self, Y: Array, T: Array) -> Array | None:
        return Y - self.smooth(T)

    def fault_of(self, T: Array) -> str | None:
        fault = _fault_of_probabilities(T)
        if fault is None and np.abs(T.sum(axis=-1) - 1).max() > 1e-6:
            return "each row of targets is a distribution over the classes and sums to 1"
        return fault


def _signs(T: Array) -> Array:
    """Targets of 0 and 1 as -1 and 1; those of -1 and 1 stay."""
    return np.where(T == 0, -1, T).astype(T.dtype)


def _fault_of_signs(T: Array) -> str | None:
    if not np.isin(T, (-1.0, 0.0, 1.0)).all():
        return "targets are -1 and 1, or 0 and 1"
    if (T == -1).any() and (T == 0).any():
        return "targets are -1 and 1, or 0 and 1, but not of both kinds"
    return None


@LOSSES.add("hinge")
@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """0 for outputs on the right side by a margin of 1; targets are -1 and 1 (0 counts as -1)."""

    formula = "1/O * sum_j max(0, 1 - t_j * y_j)"
    source = "Cortes & Vapnik 1995; Keras (Hinge)"

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        return np.maximum(0, 1 - _signs(T) * Y) / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        t = _signs(T)
        return np.where(t * Y < 1, -t, 0).astype(Y.dtype) / T.shape[-1]

    def fault_of(self, T: Array) -> str | None:
        return _fault_of_signs(T)

    def distance_to_kink(self, Y: Array, T: Array) -> Array:
        return np.abs(1 - _signs(T) * Y)


@LOSSES.add("squared_hinge")
@dataclass(frozen=True, kw_only=True)
class SquaredHinge(Loss):
    """The hinge loss squared: it starts softly."""

    formula = "1/O * sum_j max(0, 1 - t_j * y_j)^2"
    source = "Keras (SquaredHinge); L2-SVM, Tang 2013"

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        return np.maximum(0, 1 - _signs(T) * Y) ** 2 / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        t = _signs(T)
        return -2 * t * np.maximum(0, 1 - t * Y) / T.shape[-1]

    def fault_of(self, T: Array) -> str | None:
        return _fault_of_signs(T)

    def distance_to_kink(self, Y: Array, T: Array) -> Array:
        return np.abs(1 - _signs(T) * Y)


@LOSSES.add("poisson")
@dataclass(frozen=True, kw_only=True)
class Poisson(Loss):
    """Counts t from rates y; up to what does not depend on y."""

    formula = "1/O * sum_j y_j - t_j * log(y_j + 1e-8)"
    source = "McCullagh & Nelder 1989, ch. 6; PyTorch (PoissonNLLLoss, log_input=False), eps 1e-8"
    outputs_within = (0.0, math.inf)
    epsilon: ClassVar[float] = 1e-8

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        return (Y - T * np.log(Y + self.epsilon)) / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        return (1 - T / (Y + self.epsilon)) / T.shape[-1]

    def fault_of(self, T: Array) -> str | None:
        return f"targets are counts and not below 0; one is {T.min():g}" if T.min() < 0 else None


@LOSSES.add("quantile")
@dataclass(frozen=True, kw_only=True)
class Quantile(Loss):
    """Outputs learn the q-quantile of the targets: also called the pinball loss."""

    formula = "1/O * sum_j max(q * (t_j - y_j), (q - 1) * (t_j - y_j))"
    source = "Koenker & Bassett 1978"
    q: float = setting(0.5, "Which quantile; 1/2 is the median.", above=0, below=1)

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        e = T - Y
        return np.maximum(self.q * e, (self.q - 1) * e) / T.shape[-1]

    def gradient(self, Y: Array, T: Array) -> Array:
        out: Array = np.where(T > Y, -self.q, np.where(T < Y, 1 - self.q, 0)).astype(Y.dtype)
        return out / T.shape[-1]

    def distance_to_kink(self, Y: Array, T: Array) -> Array:
        return np.abs(Y - T)


@LOSSES.add("cosine")
@dataclass(frozen=True, kw_only=True)
class CosineLoss(Loss):
    """The direction alone counts: 0 where outputs point as the targets do, 2 where opposite."""

    formula = "1 - sum_j t_j * y_j / (|t| * |y|)"
    source = "PyTorch (CosineEmbeddingLoss); Keras's CosineSimilarity is this less 1"

    def _parts(self, Y: Array, T: Array) -> tuple[Array, Array]:
        lengths = np.linalg.norm(Y, axis=-1, keepdims=True)
        T_unit = T / np.maximum(np.linalg.norm(T, axis=-1, keepdims=True), TINY)
        return np.maximum(lengths, TINY), T_unit

    def terms(self, Z: Array, Y: Array, T: Array) -> Array:
        length, t = self._parts(Y, T)
        out: Array = 1 / T.shape[-1] - t * (Y / length)
        return out

    def gradient(self, Y: Array, T: Array) -> Array:
        length, t = self._parts(Y, T)
        y = Y / length
        return ((t * y).sum(axis=-1, keepdims=True) * y - t) / length

    def fault_of(self, T: Array) -> str | None:
        if (np.abs(T).max(axis=-1) == 0).any():
            return "each row of targets has a direction, so is not all 0"
        return None

    def distance_to_kink(self, Y: Array, T: Array) -> Array:
        return np.broadcast_to(np.linalg.norm(Y, axis=-1, keepdims=True), Y.shape)
