"""Told an epoch's results, answer go on or stop: the rules, and the little they remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan


def better(metric: str, value: float, than: float | None, *, by: float) -> bool:
    """Whether a metric has improved by more than `by`: accuracies grow, losses fall."""
    if than is None:
        return not isnan(value)
    return value > than + by if metric.endswith("accuracy") else value < than - by


@dataclass(slots=True)
class Patience:
    """What a patient rule remembers between epochs."""

    best: float | None = None
    epochs_since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """When to end before the last epoch; Prechelt 1998, "Early Stopping - But When?"."""

    loss_below: float | None
    patience: int | None  # epochs without improvement of `monitor`
    min_delta: float  # how much counts as improvement
    monitor: str  # a column of the history

    def verdict(self, row: Mapping[str, float], memory: Patience) -> str | None:
        """The reason to stop after an epoch with these results, or None; updates `memory`."""
        if self.loss_below is not None and row["loss"] < self.loss_below:
            return "loss_below"
        if self.patience is None:
            return None
        if better(self.monitor, row[self.monitor], memory.best, by=self.min_delta):
            memory.best, memory.epochs_since = row[self.monitor], 0
        else:
            memory.epochs_since += 1
        return "patience" if memory.epochs_since >= self.patience else None
