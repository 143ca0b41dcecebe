"""Schedules: the learning rate of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol


class Schedule(Protocol):
    """Gives each epoch its learning rate."""

    def rate(self, learning_rate: float, *, epoch: int) -> float:
        """The rate of this epoch (counted from 1), from the one that was asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same rate all the way."""

    def rate(self, learning_rate: float, *, epoch: int) -> float:
        return learning_rate


SCHEDULES: Mapping[str, type[Schedule]] = MappingProxyType({"constant": Constant})
