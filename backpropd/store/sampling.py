"""Fewer points of a long curve: which rows stay when only some can.

Every function takes rows (n,) in order and gives the indices of the ones that stay, ascending. They
draw nothing: the same curve gives the same points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def minmax(groups: Indices, values: Floats) -> Indices:
    """The first smallest and first largest row of each group; rows that are NaN hide nothing.

    `groups` (n,) ascends: the number of the group that each row is in.
    """
    starts = np.flatnonzero(np.diff(groups, prepend=groups[:1] - 1))
    kept: list[int] = []
    for start, end in zip(starts, np.append(starts[1:], len(groups)), strict=True):
        stretch = values[start:end]
        if not np.isnan(stretch).all():
            at = int(start)
            kept += [at + int(np.nanargmin(stretch)), at + int(np.nanargmax(stretch))]
    return np.unique(np.array(kept, dtype=np.int64))


def lttb(x: Floats, y: Floats, points: int) -> Indices:
    """Largest triangle three buckets: Steinarsson 2013, section 4.2.

    The first and last row, and from each of `points` - 2 buckets between them the row that spans
    the largest triangle with the one kept before and the mean of the next bucket.
    """
    n = len(x)
    if points >= n:
        return np.arange(n)
    y = np.nan_to_num(y, posinf=1e300, neginf=-1e300)  # no number, no triangle
    edges = np.linspace(1, n - 1, points - 1).astype(np.int64)
    kept = [0]
    for bucket in range(points - 2):
        start, end = edges[bucket], edges[bucket + 1]
        after = edges[bucket + 2] if bucket < points - 3 else n
        x_next, y_next = x[end:after].mean(), y[end:after].mean()
        x_before, y_before = x[kept[-1]], y[kept[-1]]
        with np.errstate(over="ignore", invalid="ignore"):
            area = np.abs(
                (x_before - x_next) * (y[start:end] - y_before)
                - (x_before - x[start:end]) * (y_next - y_before)
            )
        kept.append(int(start + area.argmax()))
    return np.array([*kept, n - 1], dtype=np.int64)


def bucket_of(rows: int, points: int) -> Indices:
    """For each of `rows` rows the number of its bucket (0 to points - 1), of even sizes."""
    return np.arange(rows) * min(points, rows) // rows
