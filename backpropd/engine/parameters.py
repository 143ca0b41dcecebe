"""One vector, many windows: every weight and bias of a network lies in one flat vector theta (P,).

An optimizer, a norm, a snapshot or a gradient check is then one operation on one array, and a layer
reads its own matrix through a window into it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from backpropd.engine.arrays import Array


@dataclass(frozen=True, slots=True)
class Window:
    """A named, shaped stretch of theta."""

    name: str  # "hidden.weight", "hidden.bias"
    shape: tuple[int, ...]  # (units, fan_in) or (units,)
    start: int
    stop: int


class Layout:
    """Where each weight and bias lies in theta."""

    def __init__(self, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> None:
        """Lay the arrays of these names and shapes end to end, in this order."""
        windows, start = [], 0
        for name, shape in shapes:
            windows.append(Window(name, shape, start, start + prod(shape)))
            start += prod(shape)
        self.windows = tuple(windows)
        self.size = start

    def views(self, theta: Array) -> dict[str, Array]:
        """Windows into theta (P,) by name; writing to one writes to theta.

        Raises ValueError where theta has another length.
        """
        if theta.shape != (self.size,):
            raise ValueError(f"theta has shape {theta.shape}, the layout takes ({self.size},)")
        return {w.name: theta[w.start : w.stop].reshape(w.shape) for w in self.windows}
