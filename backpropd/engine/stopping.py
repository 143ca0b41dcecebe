"""Told an epoch's results, answer go on or stop: the rules, and the little they remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan


def better(value: float, than: float | None, *, grows: bool, by: float) -> bool:
    """Whether a number has improved by more than `by`; NaN is never better."""
    if than is None:
        return not isnan(value)
    return value > than + by if grows else value < than - by


@dataclass(slots=True)
class Patience:
    """What a patient rule remembers between epochs."""

    best: float | None = None
    epochs_since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """When to end before the last epoch; Prechelt 1998, "Early Stopping - But When?"."""

    loss_below: float | None
    error_below: float | None  # 1 less the column `error_of`
    error_of: str
    updates: int | None  # ends at the epoch in which so many are reached
    patience: int | None  # epochs without improvement of `monitor`
    min_delta: float  # how much counts as improvement
    monitor: str  # a column of the history
    monitor_grows: bool  # whether more of it is better

    @property
    def any(self) -> bool:
        """Whether there is a rule at all."""
        rules = (self.loss_below, self.error_below, self.updates, self.patience)
        return any(rule is not None for rule in rules)

    def verdict(self, row: Mapping[str, float], memory: Patience, *, updates: int) -> str | None:
        """The reason to stop after an epoch with these results, or None; updates `memory`."""
        if self.loss_below is not None and row["loss"] < self.loss_below:
            return "loss_below"
        if self.error_below is not None and 1 - row[self.error_of] < self.error_below:
            return "error_below"
        if self.updates is not None and updates >= self.updates:
            return "updates"
        if self.patience is None:
            return None
        value = row[self.monitor]
        if better(value, memory.best, grows=self.monitor_grows, by=self.min_delta):
            memory.best, memory.epochs_since = value, 0
        else:
            memory.epochs_since += 1
        return "patience" if memory.epochs_since >= self.patience else None
