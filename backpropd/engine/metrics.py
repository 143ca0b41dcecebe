"""Metrics: what a person wants to know beside the loss, for every epoch.

A new one is one class in this file. Each is a sum over samples, so that batches add up, and a
reading of those sums. Where a metric has several numbers (one a class, say), each is a column of
its own in the history: "recall_per_class.2".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.arrays import Array
from backpropd.engine.parts import Part, Registry, setting

Sums = NDArray[np.float64]


class Metric(Part):
    """Measures outputs Y (B, O) against targets T (B, O)."""

    classification: ClassVar[bool] = False  # whether it needs classes
    grows: ClassVar[bool] = True  # whether more is better

    def size(self, outputs: int) -> int:
        """How many sums it keeps, for so many outputs."""
        raise NotImplementedError

    def sums(self, Y: Array, T: Array) -> Sums:
        """The sums (size,) of these samples."""
        raise NotImplementedError

    def read(self, sums: Sums, samples: int) -> Sums:
        """Its numbers, one a column, from the sums over so many samples."""
        raise NotImplementedError

    def columns(self, outputs: int) -> list[str]:
        """The names of its numbers."""
        return [self.name]

    def best_first(self, outputs: int) -> dict[str, bool]:
        """Column -> whether more is better."""
        return dict.fromkeys(self.columns(outputs), self.grows)


METRICS: Registry[Metric] = Registry("metric")


def classes_of(Y: Array) -> NDArray[np.intp]:
    """The class (B,) that outputs (B, O) say: the largest, or with one output the side of 0.5."""
    if Y.shape[-1] == 1:
        return (Y[..., 0] > 0.5).astype(np.intp)
    return Y.argmax(axis=-1)


def class_count(outputs: int) -> int:
    """How many classes so many outputs tell apart."""
    return max(outputs, 2)


def confusion(Y: Array, T: Array) -> Sums:
    """How many samples of class i (row) were taken for class j (column), (K, K)."""
    K = class_count(Y.shape[-1])
    places = classes_of(T) * K + classes_of(Y)
    return np.bincount(places, minlength=K * K).astype(np.float64).reshape(K, K)


def _share(part: Any, whole: Any) -> Any:
    """part / whole; 0 where there is nothing to divide by, as scikit-learn has it."""
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)


@dataclass(frozen=True, kw_only=True)
class _Mean(Metric):
    """A mean over samples of one number each."""

    def size(self, outputs: int) -> int:
        return 1

    def sums(self, Y: Array, T: Array) -> Sums:
        return np.array([self.of_samples(Y, T).sum(dtype=np.float64)])

    def read(self, sums: Sums, samples: int) -> Sums:
        return sums / samples

    def of_samples(self, Y: Array, T: Array) -> Array:
        """The number of each sample (B,)."""
        raise NotImplementedError


@METRICS.add("accuracy")
@dataclass(frozen=True, kw_only=True)
class Accuracy(_Mean):
    """The share of samples whose class is right."""

    formula = "1/N * sum_n [argmax y_n = argmax t_n]; with one output: the same side of 0.5"
    source = "scikit-learn (accuracy_score); Keras"
    classification = True

    def of_samples(self, Y: Array, T: Array) -> Array:
        return (classes_of(Y) == classes_of(T)).astype(np.float64)


@METRICS.add("accuracy_within")
@dataclass(frozen=True, kw_only=True)
class AccuracyWithin(_Mean):
    """The share of samples whose every output is near its target: the 40-20-40 rule at 0.4."""

    formula = "1/N * sum_n [|t_nj - y_nj| < tolerance for every j]"
    source = "Fahlman 1988: below 0.4 is 0, above 0.6 is 1; 0.1 is Rumelhart's 0.9 and 0.1"
    tolerance: float = setting(0.4, "How near.", above=0)

    def of_samples(self, Y: Array, T: Array) -> Array:
        near = (np.abs(Y - T) < self.tolerance).all(axis=-1)
        return np.asarray(near, np.float64)


@METRICS.add("top_k_accuracy")
@dataclass(frozen=True, kw_only=True)
class TopK(_Mean):
    """The share of samples whose class is among the k largest outputs."""

    formula = "1/N * sum_n [fewer than k outputs of n are larger than that of its class]"
    source = "scikit-learn (top_k_accuracy_score); Keras"
    classification = True
    k: int = setting(5, "How many count.", least=1, most=8192)

    def of_samples(self, Y: Array, T: Array) -> Array:
        if Y.shape[-1] == 1:
            right = classes_of(Y) == classes_of(T)
            return np.asarray(right | (self.k > 1)).astype(np.float64)
        own = np.take_along_axis(Y, classes_of(T)[:, None], axis=-1)
        return ((own < Y).sum(axis=-1) < self.k).astype(np.float64)


@METRICS.add("mean_absolute_error")
@dataclass(frozen=True, kw_only=True)
class MeanAbsolute(_Mean):
    """How far outputs are from targets, on average."""

    formula = "1/N/O * sum_nj |t_nj - y_nj|"
    source = "scikit-learn (mean_absolute_error)"
    grows = False

    def of_samples(self, Y: Array, T: Array) -> Array:
        out: Array = np.abs(T - Y).mean(axis=-1)
        return out


@METRICS.add("root_mean_squared_error")
@dataclass(frozen=True, kw_only=True)
class RootMeanSquared(_Mean):
    """The root of the mean square, in the units of the targets."""

    formula = "sqrt(1/N/O * sum_nj (t_nj - y_nj)^2)"
    source = "Keras (RootMeanSquaredError); scikit-learn averages the roots of several outputs"
    grows = False

    def of_samples(self, Y: Array, T: Array) -> Array:
        return np.asarray(((T - Y) ** 2).mean(axis=-1))

    def read(self, sums: Sums, samples: int) -> Sums:
        return np.sqrt(sums / samples)


@METRICS.add("r2")
@dataclass(frozen=True, kw_only=True)
class R2(Metric):
    """The share of the targets' variance that is explained, the mean over outputs."""

    formula = "1/O * sum_j 1 - sum_n (t_nj - y_nj)^2 / sum_n (t_nj - mean t_j)^2"
    source = "scikit-learn (r2_score, uniform_average): a constant target gives 1 or 0"

    def size(self, outputs: int) -> int:
        return 3 * outputs

    def sums(self, Y: Array, T: Array) -> Sums:
        squares = ((T - Y) ** 2).sum(axis=0, dtype=np.float64)
        T64 = T.astype(np.float64)
        return np.concatenate([squares, T64.sum(axis=0), (T64**2).sum(axis=0)])

    def read(self, sums: Sums, samples: int) -> Sums:
        squares, sum_t, sum_tt = np.split(sums, 3)
        spread = np.maximum(sum_tt - sum_t**2 / samples, 0)
        flat = spread <= 1e-12 * np.maximum(sum_tt, 1)  # rounding leaves a little of nothing
        explained = np.where(flat, squares == 0, 1 - squares / np.where(flat, 1, spread))
        return np.array([explained.mean()])


@dataclass(frozen=True, kw_only=True)
class _FromConfusion(Metric):
    """What is read from the confusion matrix."""

    classification = True

    def size(self, outputs: int) -> int:
        return class_count(outputs) ** 2

    def sums(self, Y: Array, T: Array) -> Sums:
        return confusion(Y, T).ravel()

    def read(self, sums: Sums, samples: int) -> Sums:
        K = round(len(sums) ** 0.5)
        return np.atleast_1d(self.of_matrix(sums.reshape(K, K)))

    def of_matrix(self, C: Sums) -> Any:
        """Its numbers from the confusion matrix (K, K), classes in rows."""
        raise NotImplementedError


def precision_of(C: Sums) -> Sums:
    """Of what was taken for a class, the share that is of it (K,)."""
    return _share(np.diag(C), C.sum(axis=0))


def recall_of(C: Sums) -> Sums:
    """Of what is of a class, the share that was found (K,)."""
    return _share(np.diag(C), C.sum(axis=1))


def f1_of(C: Sums) -> Sums:
    """The harmonic mean of precision and recall (K,)."""
    return _share(2 * np.diag(C), C.sum(axis=0) + C.sum(axis=1))


@METRICS.add("precision")
@dataclass(frozen=True, kw_only=True)
class Precision(_FromConfusion):
    """Of what was taken for a class, the share that is of it; the mean over classes."""

    formula = "1/K * sum_k C_kk / sum_i C_ik"
    source = "scikit-learn (precision_score, average='macro')"

    def of_matrix(self, C: Sums) -> Any:
        return precision_of(C).mean()


@METRICS.add("recall")
@dataclass(frozen=True, kw_only=True)
class Recall(_FromConfusion):
    """Of what is of a class, the share that was found; the mean over classes."""

    formula = "1/K * sum_k C_kk / sum_j C_kj"
    source = "scikit-learn (recall_score, average='macro'; balanced accuracy)"

    def of_matrix(self, C: Sums) -> Any:
        return recall_of(C).mean()


@METRICS.add("f1")
@dataclass(frozen=True, kw_only=True)
class F1(_FromConfusion):
    """The harmonic mean of precision and recall, the mean over classes."""

    formula = "1/K * sum_k 2 C_kk / (sum_i C_ik + sum_j C_kj)"
    source = "scikit-learn (f1_score, average='macro')"

    def of_matrix(self, C: Sums) -> Any:
        return f1_of(C).mean()


@dataclass(frozen=True, kw_only=True)
class _PerClass(_FromConfusion):
    """One number a class."""

    def columns(self, outputs: int) -> list[str]:
        return [f"{self.name}.{k}" for k in range(class_count(outputs))]


@METRICS.add("precision_per_class")
@dataclass(frozen=True, kw_only=True)
class PrecisionPerClass(_PerClass):
    """Of what was taken for class k, the share that is of it."""

    formula = "C_kk / sum_i C_ik"
    source = "scikit-learn (precision_score, average=None)"

    def of_matrix(self, C: Sums) -> Any:
        return precision_of(C)


@METRICS.add("recall_per_class")
@dataclass(frozen=True, kw_only=True)
class RecallPerClass(_PerClass):
    """Of what is of class k, the share that was found."""

    formula = "C_kk / sum_j C_kj"
    source = "scikit-learn (recall_score, average=None)"

    def of_matrix(self, C: Sums) -> Any:
        return recall_of(C)


@METRICS.add("f1_per_class")
@dataclass(frozen=True, kw_only=True)
class F1PerClass(_PerClass):
    """The harmonic mean of the two, of class k."""

    formula = "2 C_kk / (sum_i C_ik + sum_j C_kj)"
    source = "scikit-learn (f1_score, average=None)"

    def of_matrix(self, C: Sums) -> Any:
        return f1_of(C)


@METRICS.add("support")
@dataclass(frozen=True, kw_only=True)
class Support(_PerClass):
    """How many samples are of class k."""

    formula = "sum_j C_kj"
    source = "scikit-learn (precision_recall_fscore_support)"

    def of_matrix(self, C: Sums) -> Any:
        return C.sum(axis=1)


@METRICS.add("confusion")
@dataclass(frozen=True, kw_only=True)
class Confusion(_FromConfusion):
    """How many samples of class i were taken for class j."""

    formula = "C_ij = sum_n [class of t_n = i and class of y_n = j]"
    source = "scikit-learn (confusion_matrix)"

    def columns(self, outputs: int) -> list[str]:
        K = class_count(outputs)
        return [f"{self.name}.{i}.{j}" for i in range(K) for j in range(K)]

    def of_matrix(self, C: Sums) -> Any:
        return C.ravel()


class Tally:
    """The sums of a loss and several metrics, laid end to end in one list."""

    def __init__(self, metrics: Sequence[Metric], outputs: int) -> None:
        self.metrics = tuple(metrics)
        self.sizes = [metric.size(outputs) for metric in metrics]
        self.columns = ["loss", *(name for m in metrics for name in m.columns(outputs))]

    def zeros(self) -> list[float]:
        """The sums of no samples."""
        return [0.0] * (1 + sum(self.sizes))

    def add(self, sums: list[float], loss: float, Y: Array, T: Array) -> None:
        """Add a batch: the sum of its losses, and its outputs and targets."""
        sums[0] += loss
        start = 1
        for metric, size in zip(self.metrics, self.sizes, strict=True):
            for place, value in enumerate(metric.sums(Y, T).tolist(), start=start):
                sums[place] += value
            start += size

    def read(self, sums: list[float], samples: int) -> dict[str, float]:
        """The mean loss and every metric's columns."""
        values, start = [sums[0] / samples], 1
        for metric, size in zip(self.metrics, self.sizes, strict=True):
            part = np.array(sums[start : start + size])
            values += metric.read(part, samples).tolist()
            start += size
        return dict(zip(self.columns, values, strict=True))
