"""What it costs to be watched and to begin: measured numbers, and the most that they may be."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`values` are of each round; their median counts, or the largest where `worst`."""

    name: str
    title: str
    unit: str
    at_most: float
    values: list[float]
    worst: bool = False

    @property
    def value(self) -> float:
        """What is held against `at_most`."""
        return max(self.values) if self.worst else statistics.median(self.values)
