"""Bringing columns to one size, by numbers learned from the training rows alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from backpropd.data.table import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """scaled = (x - shift) / scale, column by column."""

    kind: str  # none, standard (mean 0, deviation 1), minmax (0 to 1)
    shift: Floats  # (I,)
    scale: Floats  # (I,)

    @classmethod
    def fit(cls, X: Floats, kind: str) -> Self:
        """Learn shift and scale from X (N, I); a column that never changes keeps its size."""
        if kind == "standard":
            shift, scale = X.mean(axis=0), X.std(axis=0)
        elif kind == "minmax":
            shift = X.min(axis=0)
            scale = X.max(axis=0) - shift
        else:
            shift, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        return cls(kind, shift, np.where(scale > 0, scale, 1.0))

    def leave(self, place: slice) -> None:
        """Let these columns be as they are."""
        self.shift[place], self.scale[place] = 0.0, 1.0

    def apply(self, X: Floats) -> Floats:
        """X (N, I), scaled."""
        return X if self.kind == "none" else (X - self.shift) / self.scale

    def undo(self, X: Any) -> Any:
        """X (N, I) as it was before `apply`."""
        return X if self.kind == "none" else X * self.scale + self.shift

    def to_json(self) -> dict[str, Any]:
        """For the database: everything that predicting needs."""
        return {"kind": self.kind, "shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(value["kind"], np.array(value["shift"]), np.array(value["scale"]))
