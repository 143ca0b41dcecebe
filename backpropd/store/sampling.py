"""Fewer points of a long curve: which rows stay when only some can.

Every function takes rows (n,) in order; what stays comes back as ascending indices. They draw
nothing: the same curve gives the same points. What is no number hides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backpropd.spec.faults import Fault, Invalid

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# Triangles are measured within these bounds, so that no area overflows; values stay as they are.
LARGEST_SIDE = 1e300


def fewest_points(metrics: int) -> int:
    """The fewest rows that several metrics can share: the ends, and two extremes of each."""
    return 2 + 2 * metrics


def check_points(points: int, metrics: int) -> None:
    """Raise Invalid where so few points cannot hold so many metrics' extremes."""
    least = fewest_points(metrics)
    if points < least:
        detail = f"For {metrics} metrics at least {least} points are needed."
        raise Invalid([Fault("/points", "out_of_range", detail)])


def buckets_within(points: int, metrics: int) -> int:
    """How many buckets leave room for two rows a metric each, and the first and last row."""
    return max(1, (points - 2) // (2 * metrics))


def bucket_of(rows: int, points: int) -> Indices:
    """For each of `rows` rows the number of its bucket (0 to points - 1), of even sizes."""
    return np.arange(rows) * min(points, rows) // rows


def stretches(groups: Indices) -> list[slice]:
    """The stretch of rows that each group is; `groups` (n,) ascends."""
    starts = _starts(groups)
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(groups)], strict=True)]


def extremes(columns: Sequence[Floats], points: int) -> Indices:
    """The first and last row, and each bucket's smallest and largest of every column."""
    n = len(columns[0])
    groups = bucket_of(n, buckets_within(points, len(columns)))
    return _with_ends(n, [minmax(groups, values) for values in columns])


def shape(x: Floats, columns: Sequence[Floats], points: int) -> Indices:
    """The rows that lttb keeps of every column; the columns share `points`."""
    each = max(3, points // len(columns))
    return _with_ends(len(x), [lttb(x, values, each) for values in columns])


def minmax(groups: Indices, values: Floats) -> Indices:
    """The first smallest and first largest row of each group (n,)."""
    starts = _starts(groups)
    sizes = np.diff([*starts, len(groups)])
    kept = []
    for winner in (np.fmin, np.fmax):  # of a number and a NaN, both take the number
        extreme = np.repeat(winner.reduceat(values, starts), sizes)
        rows = np.flatnonzero(values == extreme)
        kept.append(rows[_starts(groups[rows])])
    return np.unique(np.concatenate(kept))


def lttb(x: Floats, y: Floats, points: int) -> Indices:
    """Largest triangle three buckets: Steinarsson 2013, section 4.2.

    The first and last row, and from each of `points` - 2 buckets between them the row that spans
    the largest triangle with the one kept before and the mean of the next bucket. Departure: rows
    that are NaN span no triangle and count in no mean; infinities are as large as a side can be.
    """
    n = len(x)
    if points >= n:
        return np.arange(n)
    y = np.clip(y, -LARGEST_SIDE, LARGEST_SIDE)
    edges = np.linspace(1, n - 1, points - 1).astype(np.int64)
    kept = [0]
    for bucket in range(points - 2):
        start, end = edges[bucket], edges[bucket + 1]
        after = edges[bucket + 2] if bucket < points - 3 else n
        x_next, y_next = x[end:after].mean(), _mean(y[end:after])
        x_before, y_before = x[kept[-1]], _mean(y[kept[-1] : kept[-1] + 1])
        area = np.abs(
            (x_before - x_next) * (y[start:end] - y_before)
            - (x_before - x[start:end]) * (y_next - y_before)
        )
        kept.append(int(start + np.nan_to_num(area, nan=-1.0).argmax()))
    return np.array([*kept, n - 1], dtype=np.int64)


def means(groups: Indices, values: Floats) -> Floats:
    """The mean of the numbers in each group (n,); NaN where it has none."""
    return np.array([_mean(values[rows], none=np.nan) for rows in stretches(groups)])


def _starts(groups: Indices) -> Indices:
    return np.flatnonzero(np.diff(groups, prepend=groups[:1] - 1))


def _mean(values: Floats, *, none: float = 0.0) -> float:
    numbers = values[~np.isnan(values)]
    # Two infinities of opposite sign have no mean, and a sum may be too large: said by the result.
    with np.errstate(invalid="ignore", over="ignore"):
        return float(numbers.mean()) if len(numbers) else none


def _with_ends(n: int, kept: Sequence[Indices]) -> Indices:
    return np.unique(np.concatenate([[0, n - 1], *kept]))
