"""Schedules: the learning rate as training goes on.

A new one is one class in this file. Time t counts epochs or updates, as `per` says, from 0; a
warm-up comes before any of them, and t then counts from its end. The two that listen to the error
keep what they remember in `memory`, so that a resumed run goes on as it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from backpropd.engine.parts import Part, Registry, setting

PER = ("epoch", "update")
Memory = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Schedule(Part):
    """Gives each epoch, or each update, its learning rate."""

    listens: ClassVar[bool] = False  # whether it is told every epoch's results

    warmup: int = setting(0, "Steps of t in which the rate grows linearly.", least=0, most=10**9)
    warmup_start: float = setting(0.1, "Where the warm-up starts, of the rate.", above=0, most=1)
    per: str = setting("epoch", "What t counts.", choices=PER)

    @property
    def whole_run(self) -> bool:
        """Whether every rate depends on how long the run is to be."""
        return False

    def rate(self, base: float, t: int, total: int, memory: Memory) -> float:
        """The rate at time t of `total`, from the one that was asked for."""
        if t < self.warmup:
            return base * (self.warmup_start + (1 - self.warmup_start) * t / self.warmup)
        return self.share(t - self.warmup, max(total - self.warmup, 1), memory) * base

    def share(self, t: int, total: int, memory: Memory) -> float:
        """What the rate is multiplied by at time t."""
        raise NotImplementedError

    def listen(self, row: Mapping[str, float], memory: Memory) -> None:
        """Hear of a finished epoch."""


SCHEDULES: Registry[Schedule] = Registry("schedule")


@SCHEDULES.add("constant")
@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The same rate all the way."""

    formula = "rate"
    source = "Rumelhart, Hinton & Williams 1986"

    def share(self, t: int, total: int, memory: Memory) -> float:
        return 1.0


@SCHEDULES.add("step")
@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """A smaller rate every so often."""

    formula = "rate * gamma^floor(t / every)"
    source = "PyTorch: StepLR"
    every: int = setting(30, "Between two steps.", least=1, most=10**9)
    gamma: float = setting(0.1, "What each step multiplies the rate by.", above=0, most=10)

    def share(self, t: int, total: int, memory: Memory) -> float:
        return math.pow(self.gamma, t // self.every)


@SCHEDULES.add("multi_step")
@dataclass(frozen=True, kw_only=True)
class MultiStep(Schedule):
    """A smaller rate at given moments."""

    formula = "rate * gamma^(milestones m with m <= t)"
    source = "PyTorch: MultiStepLR"
    milestones: tuple[int, ...] = setting((30, 60, 90), "When.", least=1, most=10**9)
    gamma: float = setting(0.1, "What each one multiplies the rate by.", above=0, most=10)

    def share(self, t: int, total: int, memory: Memory) -> float:
        return math.pow(self.gamma, sum(m <= t for m in self.milestones))


@SCHEDULES.add("exponential")
@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """A steady decay."""

    formula = "rate * gamma^t"
    source = "PyTorch: ExponentialLR"
    gamma: float = setting(0.99, "What is left after a step of t.", above=0, most=10)

    def share(self, t: int, total: int, memory: Memory) -> float:
        return math.pow(self.gamma, t)


@SCHEDULES.add("inverse_time")
@dataclass(frozen=True, kw_only=True)
class InverseTime(Schedule):
    """Search, then converge: nearly constant up to 1 / decay, then falling as 1 / t."""

    formula = "rate / (1 + decay * t)"
    source = "Robbins & Monro 1951; Darken & Moody 1991; Keras: InverseTimeDecay"
    decay: float = setting(0.01, "How soon it falls.", above=0, most=1e6)

    def share(self, t: int, total: int, memory: Memory) -> float:
        return 1 / (1 + self.decay * t)


@SCHEDULES.add("inverse_sqrt")
@dataclass(frozen=True, kw_only=True)
class InverseSqrt(Schedule):
    """Falling as 1 / sqrt(t) from `start` on."""

    formula = "rate * sqrt(start / max(t, start))"
    source = "Vaswani et al. 2017, eq. 3, whose warm-up is `warmup` here"
    start: int = setting(1, "Up to when the rate is whole.", least=1, most=10**9)

    def share(self, t: int, total: int, memory: Memory) -> float:
        return math.sqrt(self.start / max(t, self.start))


@SCHEDULES.add("polynomial")
@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """Down to `end` over the whole run; a power of 1 is a straight line."""

    formula = "rate * (end + (1 - end) * (1 - t / T)^power), T all steps of the run"
    source = "PyTorch: PolynomialLR, with end 0"
    power: float = setting(1.0, "How bent.", above=0, most=100)
    end: float = setting(0.0, "What is left at the end, of the rate.", least=0, most=1)

    @property
    def whole_run(self) -> bool:
        return True

    def share(self, t: int, total: int, memory: Memory) -> float:
        return self.end + (1 - self.end) * math.pow(1 - min(t / total, 1), self.power)


@SCHEDULES.add("cosine")
@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine down to `end`; with `period`, again and again, each `grow` times as long."""

    formula = "rate * (end + (1 - end) * (1 + cos(pi * t / T)) / 2), T the period or the whole run"
    source = "Loshchilov & Hutter 2017, eq. 5; PyTorch: CosineAnnealing(WarmRestarts)LR"
    end: float = setting(0.0, "The lowest, of the rate.", least=0, most=1)
    period: int = setting(0, "Steps up to the first restart; 0 is none.", least=0, most=10**9)
    grow: int = setting(1, "How many times longer each period is.", least=1, most=1000)

    @property
    def whole_run(self) -> bool:
        return not self.period

    def share(self, t: int, total: int, memory: Memory) -> float:
        length = self.period or total
        if self.period:
            while t >= length:
                t -= length
                length *= self.grow
                if self.grow == 1:
                    t %= length
        share = (1 + math.cos(math.pi * min(t / length, 1))) / 2
        return self.end + (1 - self.end) * share


@SCHEDULES.add("one_cycle")
@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """Up to the rate and far below it, once, by cosines. Best counted per update."""

    formula = "rate / divide -> rate over the first `up` of the run -> rate / divide / final_divide"
    source = "Smith & Topin 2018; PyTorch: OneCycleLR, whose momentum stays as it is here"
    up: float = setting(0.3, "The share of the run that goes up.", above=0, below=1)
    divide: float = setting(25.0, "How far below the rate it starts.", least=1, most=1e9)
    final_divide: float = setting(1e4, "How far below the start it ends.", least=1, most=1e12)

    @property
    def whole_run(self) -> bool:
        return True

    def share(self, t: int, total: int, memory: Memory) -> float:
        start, end = 1 / self.divide, 1 / (self.divide * self.final_divide)
        top = self.up * total - 1
        if t <= top:
            return self._between(start, 1.0, t / top if top > 0 else 1.0)
        return self._between(1.0, end, min((t - top) / max(total - 1 - top, 1e-12), 1))

    @staticmethod
    def _between(a: float, b: float, share: float) -> float:
        return b + (a - b) / 2 * (1 + math.cos(math.pi * share))


@SCHEDULES.add("reduce_on_plateau")
@dataclass(frozen=True, kw_only=True)
class ReduceOnPlateau(Schedule):
    """A smaller rate where the error has not fallen for a while."""

    formula = "rate * factor^(times that `monitor` did not improve for `patience` epochs)"
    source = "Keras: ReduceLROnPlateau; PyTorch waits for one epoch more"
    listens = True
    monitor: str = setting("loss", "A falling column.", choices=("loss", "val_loss"))
    factor: float = setting(0.1, "What a plateau multiplies the rate by.", above=0, below=1)
    patience: int = setting(10, "Epochs.", least=1, most=10**9)
    min_delta: float = setting(1e-4, "By how much the error must fall.", least=0)
    lowest: float = setting(0.0, "The rate goes no lower than this share of it.", least=0, most=1)

    def share(self, t: int, total: int, memory: Memory) -> float:
        return memory.get("factor", 1.0)

    def listen(self, row: Mapping[str, float], memory: Memory) -> None:
        if row[self.monitor] < memory.get("best", math.inf) - self.min_delta:
            memory |= {"best": row[self.monitor], "waited": 0.0}
            return
        memory["waited"] = memory.get("waited", 0.0) + 1
        if memory["waited"] >= self.patience:
            memory["waited"] = 0.0
            memory["factor"] = max(memory.get("factor", 1.0) * self.factor, self.lowest)


@SCHEDULES.add("bold_driver")
@dataclass(frozen=True, kw_only=True)
class BoldDriver(Schedule):
    """A little faster while the error falls, much slower when it rises.

    The step that made it rise is not taken back, as some texts have it.
    """

    formula = "rate * up where loss fell since the epoch before, rate * down where it rose"
    source = "Vogl et al. 1988; Battiti 1989"
    listens = True
    up: float = setting(1.05, "After an epoch that went well.", least=1, most=10)
    down: float = setting(0.5, "After one that did not.", above=0, below=1)
    tolerance: float = setting(0.0, "How far the error may rise, of it.", least=0, most=1)

    def share(self, t: int, total: int, memory: Memory) -> float:
        return memory.get("factor", 1.0)

    def listen(self, row: Mapping[str, float], memory: Memory) -> None:
        before = memory.get("loss", math.inf)
        factor = memory.get("factor", 1.0)
        if row["loss"] > before * (1 + self.tolerance):
            memory["factor"] = factor * self.down
        elif row["loss"] < before and "loss" in memory:
            memory["factor"] = min(factor * self.up, 1e12)
        memory["loss"] = row["loss"]
