"""Which rows are learned from and which are held back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backpropd.spec.names import SplitMethod

Rows = NDArray[np.intp]
Labels = NDArray[np.int64]


def split(
    rows: int,
    fraction: float,
    rng: np.random.Generator,
    *,
    method: SplitMethod,
    labels: Labels | None,
    groups: Labels | None,
) -> tuple[Rows, Rows]:
    """(training rows, held-back rows), each ascending; both have at least one of the rows >= 2.

    stratified: of each class in labels (N,) its share, as far as whole rows can; grouped: whole
    groups (N,), drawn until the share is reached as nearly as they can; ordered: the last rows.
    """
    if method == "ordered":
        count = min(max(round(rows * fraction), 1), rows - 1)
        return np.arange(rows - count), np.arange(rows - count, rows)
    if method == "grouped":
        assert groups is not None
        return _split_groups(groups, fraction, rng)
    classes = [np.arange(rows)]
    if method == "stratified" and labels is not None:
        classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shuffled = [rng.permutation(rows_of) for rows_of in classes]
    held = [rows_of[: round(len(rows_of) * fraction)] for rows_of in shuffled]
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
    method: SplitMethod,
    labels: Labels | None,
    groups: Labels | None,
) -> tuple[Rows, Rows]:
    """(training rows, held-back rows) of one of several folds, each ascending.

    All folds of one generator's state are disjoint and cover every row; their sizes differ by one
    at most, and stratified by labels (N,) so do the shares of each class. Grouped ones hold whole
    groups (N,), the largest dealt first to whichever fold is smallest; ordered ones are stretches.
    """
    if method == "ordered":
        held_back = np.array_split(np.arange(rows), folds)[fold]
    elif method == "grouped":
        assert groups is not None
        held_back = np.flatnonzero(_dealt(groups, folds, rng)[groups] == fold)
    else:
        order = rng.permutation(rows)
        if method == "stratified" and labels is not None:
            order = order[np.argsort(labels[order], kind="stable")]
        held_back = np.sort(order[fold::folds])
    return np.setdiff1d(np.arange(rows), held_back), held_back


def _split_groups(groups: Labels, fraction: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    # Groups of this order, as many as come nearest to the share; one at least on either side.
    reached = np.cumsum(sizes[order])
    count = 1 + int(np.abs(reached - fraction * len(groups)).argmin())
    held = order[: min(count, len(sizes) - 1)]
    inside = np.isin(groups, held)
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def _dealt(groups: Labels, folds: int, rng: np.random.Generator) -> Labels:
    """The fold of each group."""
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    totals, dealt = np.zeros(folds, np.int64), np.zeros(len(sizes), np.int64)
    for group in order:
        dealt[group] = smallest = int(totals.argmin())
        totals[smallest] += sizes[group]
    return dealt
