"""One vector, many windows: every weight and bias of a network lies in one flat vector theta (P,).

An optimizer, a norm, a snapshot or a gradient check is then one operation on one array, and a layer
reads its own matrix through a window into it. Where connections share one weight, or are missing,
theta holds each weight once, and the window is made from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.arrays import Array

Ties = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A named, shaped stretch of theta."""

    name: str  # "hidden.weight", "hidden.bias"
    shape: tuple[int, ...]  # (units, fan_in) or (units,)
    start: int
    stop: int
    ties: Ties | None  # of this shape: k means weight k - 1 of the stretch, -k its opposite, 0 none

    def view(self, theta: Array) -> Array:
        """The array: a window into theta (P,), or, with ties, made from it."""
        stretch = theta[self.start : self.stop]
        if self.ties is None:
            return stretch.reshape(self.shape)
        padded = np.concatenate([np.zeros(1, theta.dtype), stretch])
        return np.sign(self.ties).astype(theta.dtype) * padded[np.abs(self.ties)]

    def put(self, values: Array, theta: Array) -> None:
        """Write an array of this shape into theta; of tied entries the last one counts."""
        stretch = theta[self.start : self.stop]
        if self.ties is None:
            stretch.reshape(self.shape)[...] = values
            return
        tied = self.ties != 0
        signed = np.sign(self.ties[tied]) * np.broadcast_to(values, self.shape)[tied]
        stretch[np.abs(self.ties[tied]) - 1] = signed

    def put_gradient(self, values: Array, gradient: Array) -> None:
        """Write dE/d of an array of this shape into the gradient: of tied entries their sum.

        Rumelhart, Hinton & Williams 1986, PDP vol. 1, ch. 8, on T-C: the changes are added.
        """
        stretch = gradient[self.start : self.stop]
        if self.ties is None:
            stretch.reshape(self.shape)[...] = values
            return
        signed = (np.sign(self.ties) * values).ravel()
        sums = np.bincount(np.abs(self.ties).ravel(), signed, minlength=len(stretch) + 1)
        stretch[...] = sums[1:]


class Layout:
    """Where each weight and bias lies in theta."""

    def __init__(self, shapes: Iterable[tuple[str, tuple[int, ...], Ties | None]]) -> None:
        """Lay the arrays of these names and shapes end to end, in this order."""
        windows, start = [], 0
        for name, shape, ties in shapes:
            size = prod(shape) if ties is None else int(np.abs(ties).max(initial=0))
            windows.append(Window(name, shape, start, start + size, ties))
            start += size
        self.windows = tuple(windows)
        self.size = start
        self.window = {window.name: window for window in windows}

    def views(self, theta: Array) -> dict[str, Array]:
        """Arrays of theta (P,) by name. Writing to one writes to theta, unless it has ties.

        Raises ValueError where theta has another length.
        """
        if theta.shape != (self.size,):
            raise ValueError(f"theta has shape {theta.shape}, the layout takes ({self.size},)")
        return {window.name: window.view(theta) for window in self.windows}
