"""Which rows are learned from and which are held back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


def split(
    rows: int, fraction: float, rng: np.random.Generator, *, labels: NDArray[np.int64] | None
) -> tuple[Rows, Rows]:
    """(training rows, held-back rows), each ascending; both have at least one of the rows >= 2.

    With labels (N,) each class gives its share, as far as whole rows can.
    """
    groups = (
        [np.arange(rows)]
        if labels is None
        else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    )
    shuffled = [rng.permutation(group) for group in groups]
    held = [group[: round(len(group) * fraction)] for group in shuffled]
    held_back = np.sort(np.concatenate(held))
    if len(held_back) == 0:  # every share was rounded away
        held_back = shuffled[0][:1]
    elif len(held_back) == rows:
        held_back = held_back[1:]
    return np.setdiff1d(np.arange(rows), held_back), held_back


def fold(
    rows: int,
    rng: np.random.Generator,
    *,
    fold: int,
    folds: int,
    labels: NDArray[np.int64] | None,
) -> tuple[Rows, Rows]:
    """(training rows, held-back rows) of one of several folds, each ascending.

    All folds of one generator's state are disjoint and cover every row; their sizes differ by one
    at most, and with labels (N,) so do the shares of each class.
    """
    order = rng.permutation(rows)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    held_back = np.sort(order[fold::folds])
    return np.setdiff1d(np.arange(rows), held_back), held_back
