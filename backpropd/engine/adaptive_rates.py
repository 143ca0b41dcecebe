"""The textbooks' optimizers that give each weight a rate or a step of its own (Rojas 1996, ch. 8).

They compare a derivative's sign with the one before, which means something only where both are of
the same samples: most ask for the full batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.optimizers import OPTIMIZERS, Moment, Rule
from backpropd.engine.parts import setting

_FIRST_RATE = "What every weight's own rate starts at."


@OPTIMIZERS.add("silva_almeida")
@dataclass(frozen=True, kw_only=True)
class SilvaAlmeida(Rule):
    """Each weight's rate grows while its derivative keeps its sign, and shrinks when it turns."""

    formula = "rate_i *= up where g_i keeps its sign, *= down where not; theta_i -= rate_i * g_i"
    source = (
        "Silva & Almeida 1990; Rojas 1996, section 8.3.1. A step that raised the error is not "
        "taken back, as the paper adds"
    )
    full_batch = True
    scheduled = False
    learning_rate: float = setting(0.1, _FIRST_RATE, above=0)
    up: float = setting(1.2, "Where the sign stays.", least=1, most=10)
    down: float = setting(0.8, "Where it turns.", above=0, most=1)
    momentum: float = setting(0.0, "How much of the step before is added.", least=0, below=1)

    slots = 3

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        rates, before, d = slots
        if at.step == 1:
            rates += self.learning_rate
        same = g * before
        rates *= np.where(same > 0, self.up, np.where(same < 0, self.down, 1))
        before[:] = g
        d *= self.momentum
        d -= rates * g
        theta += d


@OPTIMIZERS.add("delta_bar_delta")
@dataclass(frozen=True, kw_only=True)
class DeltaBarDelta(Rule):
    """Rates grow by a constant and shrink by a share, judged by a mean of past derivatives."""

    formula = (
        "rate_i += kappa where g_i * m_i > 0, *= 1 - phi where < 0; theta_i -= rate_i * g_i; "
        "m = (1 - theta) g + theta m"
    )
    source = "Jacobs 1988, eq. 5; Rojas 1996, section 8.3.2"
    full_batch = True
    scheduled = False
    learning_rate: float = setting(0.1, _FIRST_RATE, above=0)
    kappa: float = setting(0.01, "By how much rates grow.", least=0)
    phi: float = setting(0.1, "By what share they shrink.", least=0, below=1)
    theta: float = setting(0.7, "How much of the mean stays.", least=0, below=1)
    momentum: float = setting(0.0, "How much of the step before is added.", least=0, below=1)

    slots = 3

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        rates, mean, d = slots
        if at.step == 1:
            rates += self.learning_rate
        same = g * mean
        rates += np.where(same > 0, self.kappa, 0)
        rates *= np.where(same < 0, 1 - self.phi, 1)
        mean *= self.theta
        mean += (1 - self.theta) * g
        d *= self.momentum
        d -= rates * g
        theta += d


@OPTIMIZERS.add("supersab")
@dataclass(frozen=True, kw_only=True)
class Supersab(Rule):
    """Rates grow and shrink by shares; where a derivative turns, its step is taken back."""

    formula = (
        "where g_i keeps its sign: rate_i *= up, d_i = -rate_i * g_i + momentum * d_i; "
        "where it turns: rate_i *= down, d_i = -d_i; theta += d"
    )
    source = "Tollenaere 1990"
    full_batch = True
    scheduled = False
    learning_rate: float = setting(0.1, _FIRST_RATE, above=0)
    up: float = setting(1.05, "Where the sign stays.", least=1, most=10)
    down: float = setting(0.5, "Where it turns.", above=0, most=1)
    momentum: float = setting(0.0, "How much of the step before is added.", least=0, below=1)
    largest_rate: float = setting(10.0, "No rate grows beyond.", above=0)

    slots = 3

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        rates, before, d = slots
        if at.step == 1:
            rates += self.learning_rate
        turned = g * before < 0
        rates *= np.where(turned, self.down, self.up if at.step > 1 else 1)
        np.minimum(rates, self.largest_rate, out=rates)
        d[:] = np.where(turned, -d, self.momentum * d - rates * g)
        before[:] = np.where(turned, 0, g)  # the next derivative is compared with nothing
        theta += d


@dataclass(frozen=True, kw_only=True)
class _Rprop(Rule):
    """What the four Rprops share: steps of a size of their own, whatever the derivative's size."""

    full_batch = True
    scheduled = False
    learning_rate: float = setting(0.1, "What every step's size starts at.", above=0)
    eta_plus: float = setting(1.2, "Where the sign stays.", above=1, most=10)
    eta_minus: float = setting(0.5, "Where it turns.", above=0, below=1)
    smallest_step: float = setting(1e-6, "No step is smaller.", above=0)
    largest_step: float = setting(50.0, "No step is larger.", above=0)

    slots = 3

    def check(self) -> Iterator[tuple[str, str]]:
        if not self.smallest_step <= self.learning_rate <= self.largest_step:
            between = f"{self.smallest_step} and {self.largest_step}"
            yield "learning_rate", f"The first step ({self.learning_rate}) is between {between}."

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        sizes, before, d = slots
        if at.step == 1:
            sizes += self.learning_rate
        same = g * before
        sizes *= np.where(same > 0, self.eta_plus, np.where(same < 0, self.eta_minus, 1))
        np.clip(sizes, self.smallest_step, self.largest_step, out=sizes)
        self._move(theta, g, sizes, d, same < 0, at.error_rose)
        before[:] = g

    def _move(
        self, theta: Array, g: Array, sizes: Array, d: Array, turned: Array, error_rose: bool
    ) -> None:
        """Move theta, keep the steps in d, and set g to 0 where the sign shall be forgotten."""
        raise NotImplementedError


@OPTIMIZERS.add("rprop_plus")
@dataclass(frozen=True, kw_only=True)
class RpropPlus(_Rprop):
    """Rprop with backtracking: where a derivative turns, its step is taken back."""

    formula = "g_i kept its sign: d_i = -sign(g_i) * size_i; turned: d_i = -d_i, g_i = 0"
    source = "Riedmiller & Braun 1993; Rprop+ of Igel & Huesken 2003, algorithm 1"

    def _move(
        self, theta: Array, g: Array, sizes: Array, d: Array, turned: Array, error_rose: bool
    ) -> None:
        d[:] = np.where(turned, -d, -np.sign(g) * sizes)
        g[turned] = 0
        theta += d


@OPTIMIZERS.add("rprop_minus")
@dataclass(frozen=True, kw_only=True)
class RpropMinus(_Rprop):
    """Rprop without backtracking."""

    formula = "d_i = -sign(g_i) * size_i, always"
    source = "Riedmiller 1994; Rprop- of Igel & Huesken 2003, algorithm 2"

    def _move(
        self, theta: Array, g: Array, sizes: Array, d: Array, turned: Array, error_rose: bool
    ) -> None:
        d[:] = -np.sign(g) * sizes
        theta += d


@OPTIMIZERS.add("irprop_plus")
@dataclass(frozen=True, kw_only=True)
class IrpropPlus(_Rprop):
    """Rprop that takes a step back only where the whole error rose with it."""

    formula = "turned: d_i = -d_i if the error rose, else 0; g_i = 0; else -sign(g_i) * size_i"
    source = "iRprop+ of Igel & Huesken 2003, algorithm 3"

    def _move(
        self, theta: Array, g: Array, sizes: Array, d: Array, turned: Array, error_rose: bool
    ) -> None:
        back = -d if error_rose else np.zeros_like(d)
        d[:] = np.where(turned, back, -np.sign(g) * sizes)
        g[turned] = 0
        theta += d


@OPTIMIZERS.add("irprop_minus")
@dataclass(frozen=True, kw_only=True)
class IrpropMinus(_Rprop):
    """Rprop that stands still for one step where a derivative turns; PyTorch's Rprop."""

    formula = "turned: g_i = 0; d_i = -sign(g_i) * size_i"
    source = "iRprop- of Igel & Huesken 2003, algorithm 4; PyTorch: Rprop"

    def _move(
        self, theta: Array, g: Array, sizes: Array, d: Array, turned: Array, error_rose: bool
    ) -> None:
        g[turned] = 0
        d[:] = -np.sign(g) * sizes
        theta += d


@OPTIMIZERS.add("quickprop")
@dataclass(frozen=True, kw_only=True)
class Quickprop(Rule):
    """A jump to the bottom of the parabola through the last two derivatives."""

    formula = (
        "d_i = g_i / (g_before_i - g_i) * d_i, at most mu * d_i; less rate * g_i where g_i keeps "
        "its sign, or no step was made"
    )
    source = (
        "Fahlman 1988, mu 1.75; his offset of the logistic's derivative is its `prime_offset`; "
        "the order of cases as in FANN"
    )
    full_batch = True
    scheduled = False
    learning_rate: float = setting(0.1, "Of the plain step that is added.", above=0)
    mu: float = setting(1.75, "How many times the step before, at most.", above=1, most=100)
    decay: float = setting(0.0001, "Pulls weights towards 0.", least=0, below=1)

    slots = 2

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        before, d = slots
        slope = -(g + self.decay * theta)
        forward = d * slope > 0  # still downhill the way we came
        beyond = slope * np.sign(d) > self.mu / (1 + self.mu) * before * np.sign(d)
        difference = before - slope
        jump = d * slope / np.where(difference == 0, 1, difference)
        with_jump = np.where(beyond | (difference == 0), self.mu * d, jump)
        plain = np.where((d == 0) | forward, self.learning_rate * slope, 0)
        d[:] = np.where(d == 0, 0, with_jump) + plain
        before[:] = slope
        theta += d


@OPTIMIZERS.add("qrprop")
@dataclass(frozen=True, kw_only=True)
class Qrprop(Rule):
    """Rprop that, where a derivative turns, shrinks its step by Quickprop's secant."""

    formula = (
        "size_i *= eta_plus where g_i keeps its sign; where it turns, "
        "size_i *= max(smallest_share, |g_i / (g_i - g_before_i)|); theta_i -= sign(g_i) * size_i"
    )
    source = "Pfister & Rojas 1993; Rojas 1996, section 8.4.2"
    full_batch = True
    scheduled = False
    learning_rate: float = setting(0.1, "What every step's size starts at.", above=0)
    eta_plus: float = setting(1.2, "Where the sign stays.", above=1, most=10)
    smallest_share: float = setting(0.1, "A turn leaves at least this share.", above=0, below=1)
    smallest_step: float = setting(1e-6, "No step is smaller.", above=0)
    largest_step: float = setting(50.0, "No step is larger.", above=0)

    slots = 2

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        sizes, before = slots
        if at.step == 1:
            sizes += self.learning_rate
        same = g * before
        difference = np.where(g == before, 1, g - before)
        secant = np.maximum(np.abs(g / difference), self.smallest_share)
        sizes *= np.where(same > 0, self.eta_plus, np.where(same < 0, secant, 1))
        np.clip(sizes, self.smallest_step, self.largest_step, out=sizes)
        before[:] = g
        theta -= np.sign(g) * sizes
