"""How well predictions fit: the figures and the plots' data, computed by scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpropd.data.table import Floats

BINS = 10  # of a calibration curve
MOST_POINTS = 2000  # of a plot
HISTOGRAM_BINS = 20
LARGEST = 1e150  # whose square is still a number

Numbers = NDArray[np.floating[Any]]


def classification(labels: NDArray[np.int64], P: Numbers, classes: Sequence[str]) -> dict[str, Any]:
    """Of true labels (N,) and probabilities P (N, K): confusion, per class, calibration."""
    from sklearn import metrics  # noqa: PLC0415 - a second of import for who needs it

    P = np.nan_to_num(P.astype(np.float64), nan=0.0)
    K, taken = len(classes), P.argmax(axis=1)
    every = list(range(K))
    columns = metrics.precision_recall_fscore_support(labels, taken, labels=every, zero_division=0)
    names = ("precision", "recall", "f1", "support")
    figures = {
        name: dict(zip(names, (float(p), float(r), float(f), int(s)), strict=True))
        for name, p, r, f, s in zip(classes, *columns, strict=True)
    }
    averages = {}
    for average in ("macro", "weighted"):
        found = metrics.precision_recall_fscore_support(
            labels, taken, labels=every, average=average, zero_division=0
        )
        averages[average] = dict(zip(names[:3], map(float, found[:3]), strict=True))
    return {
        "classes": list(classes),
        "matrix": metrics.confusion_matrix(labels, taken, labels=every).tolist(),
        "per_class": figures,
        "averages": averages,
        "metrics": {
            "accuracy": float(metrics.accuracy_score(labels, taken)),
            "balanced_accuracy": float(
                np.mean([f["recall"] for f in figures.values() if f["support"]])
            ),
            "log_loss": _log_loss(labels, P),
            "brier_score": float(((P - np.eye(K)[labels]) ** 2).sum(axis=1).mean()),
            "roc_auc": _roc_auc(labels, P),
        },
        "calibration": calibration(labels, P),
    }


def calibration(labels: NDArray[np.int64], P: Numbers) -> dict[str, Any]:
    """How often the class that was chosen is right, by how sure the network was of it.

    Guo et al. 2017, On Calibration of Modern Neural Networks, eq. 3: the expected calibration
    error is the mean distance of the two, weighted by the samples of a bin.
    """
    confidence = np.clip(P.max(axis=1), 0, 1)
    right = P.argmax(axis=1) == labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins, error = [], 0.0
    for index in range(BINS):
        inside = place == index
        count = int(inside.sum())
        sure = float(confidence[inside].mean()) if count else None
        accuracy = float(right[inside].mean()) if count else None
        if sure is not None and accuracy is not None:
            error += count / len(labels) * abs(sure - accuracy)
        edges = {"from": index / BINS, "to": (index + 1) / BINS}
        bins.append({**edges, "count": count, "confidence": sure, "accuracy": accuracy})
    return {"bins": bins, "expected_error": error}


def _log_loss(labels: NDArray[np.int64], P: Numbers) -> float:
    """-1/N sum ln p of the true class, p as the network says it, at least the smallest number."""
    own = np.take_along_axis(P, labels[:, None], axis=1)
    return float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean())


def _roc_auc(labels: NDArray[np.int64], P: Numbers) -> float | None:
    """One against the rest, the mean over classes; None where a class has all rows or none."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415

    if len(np.unique(labels)) < P.shape[1]:
        return None
    if P.shape[1] == 2:
        return float(roc_auc_score(labels, P[:, 1]))
    areas = [roc_auc_score(labels == k, P[:, k]) for k in range(P.shape[1])]
    return float(np.mean(areas))


def regression(T: Floats, Y: Numbers, names: Sequence[str]) -> dict[str, Any]:
    """Of targets T and predictions Y, both (N, O) in the targets' units: each target's figures.

    Points are spread evenly over the rows where there are more than a plot can show.
    """
    rows = np.unique(np.linspace(0, len(T) - 1, min(len(T), MOST_POINTS)).round().astype(int))
    return {
        "targets": {
            name: _of_target(T[:, index], Y[:, index].astype(np.float64), rows)
            for index, name in enumerate(names)
        }
    }


def _histogram(values: Floats) -> tuple[NDArray[Any], Floats]:
    """(counts, edges); one bin where the values are too close for more."""
    low, high = values.min(), values.max()
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return np.array([len(values)]), np.array([low, high])
    return np.histogram(values, bins=HISTOGRAM_BINS)


def _of_target(t: Floats, y: Floats, rows: NDArray[Any]) -> dict[str, Any]:
    from sklearn import metrics  # noqa: PLC0415 - a second of import for who needs it

    with np.errstate(over="ignore", invalid="ignore"):
        residuals = t - y
    if not np.isfinite(residuals).all() or max(np.abs(t).max(), np.abs(y).max()) > LARGEST:
        return {"metrics": None, "points": None, "residuals": None}
    counts, edges = _histogram(residuals)
    shares = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
    return {
        "metrics": {
            "r2": float(metrics.r2_score(t, y)) if len(t) > 1 else None,
            "mean_absolute_error": float(metrics.mean_absolute_error(t, y)),
            "root_mean_squared_error": math.sqrt(metrics.mean_squared_error(t, y)),
            "median_absolute_error": float(metrics.median_absolute_error(t, y)),
            "max_error": float(metrics.max_error(t, y)),
            "bias": float(residuals.mean()),
        },
        "points": {
            "row": rows.tolist(),
            "actual": t[rows].tolist(),
            "predicted": y[rows].tolist(),
            "residual": residuals[rows].tolist(),
        },
        "residuals": {
            "quantiles": dict(
                zip(map(str, shares), np.quantile(residuals, shares).tolist(), strict=True)
            ),
            "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        },
    }
