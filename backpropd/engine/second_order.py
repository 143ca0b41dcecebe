"""Optimizers that know how the error bends: few steps, each a costly one; best on small networks.

They see every sample at every step, and look at the error in more places than one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.optimizers import OPTIMIZERS, Method, Objective
from backpropd.engine.parts import setting

MOST_TRIES = 25  # of one line search, or of one damping


@OPTIMIZERS.add("levenberg_marquardt")
@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt(Method):
    """Between Newton's step (small mu) and a short one downhill (large mu)."""

    formula = "d = -(J'J + mu I)^-1 J'r; mu /= beta where the error fell, else mu *= beta, again"
    source = "Marquardt 1963; Hagan & Menhaj 1994, eq. 8-14, mu 0.01, beta 10"
    needs_squared = True
    scheduled = False
    learning_rate: float = setting(1.0, "The share of each step that is made.", above=0, most=1)
    mu: float = setting(0.01, "Damping, to begin with.", above=0)
    beta: float = setting(10.0, "What the damping grows and shrinks by.", above=1, most=1000)
    largest_mu: float = setting(1e10, "Where trying ends.", above=0)

    slots = 0

    def advance(
        self, theta: Array, slots: Array, memory: dict[str, float], objective: Objective
    ) -> None:
        mu = memory.get("mu", self.mu)
        r, J = objective.residuals(theta)
        before = objective.value(theta)
        H, g = J.T @ J, J.T @ r
        for _ in range(MOST_TRIES):
            d = np.linalg.solve(H + mu * np.eye(len(g), dtype=H.dtype), -g)
            moved = theta + self.learning_rate * d
            if objective.value(moved) < before:
                theta[:] = moved
                memory["mu"] = max(mu / self.beta, 1e-20)
                return
            mu *= self.beta
            if mu > self.largest_mu:
                break
        memory["mu"] = min(mu, self.largest_mu)  # no way down was found: theta stays


@OPTIMIZERS.add("lbfgs")
@dataclass(frozen=True, kw_only=True)
class Lbfgs(Method):
    """Newton's step with an inverse Hessian out of the last few steps and gradients."""

    formula = "d = -H g, H by the two loops over the last `memory` pairs (s, y)"
    source = (
        "Nocedal 1980; Nocedal & Wright 2006, algorithms 7.4, 3.5 and 3.6 (c1 1e-4, c2 0.9); "
        "without line search as PyTorch's LBFGS with max_iter 1"
    )
    scheduled = False
    learning_rate: float = setting(1.0, "The first step that is tried.", above=0)
    memory: int = setting(10, "Pairs that are remembered.", least=1, most=100)
    line_search: str = setting("wolfe", "How far.", choices=("wolfe", "none"))

    @property
    def slots(self) -> int:
        return 2 * self.memory + 2  # pairs s and y; the last step and gradient

    def advance(
        self, theta: Array, slots: Array, memory: dict[str, float], objective: Objective
    ) -> None:
        S, Y = slots[: self.memory], slots[self.memory : 2 * self.memory]
        last_step, last_g = slots[-2], slots[-1]
        pairs = int(memory.get("pairs", 0))
        scale = memory.get("scale", 1.0)
        g = objective.gradient(theta)
        if not np.abs(g).max(initial=0) > 0:
            return
        first = "pairs" not in memory
        if not first:
            y, s = g - last_g, last_step
            ys = float(y @ s)
            if ys > 1e-10:  # else the error bends the wrong way, and the pair says nothing
                pairs = self._remember(S, Y, pairs, s, y)
                scale = ys / float(y @ y)
        d = -self._times_inverse_hessian(g, S[:pairs], Y[:pairs], scale)
        t = (
            min(1.0, 1 / float(np.abs(g).sum())) * self.learning_rate
            if first
            else (self.learning_rate)
        )
        if self.line_search == "wolfe":
            t = wolfe(objective, theta, d, g, first=t)
        last_step[:] = t * d
        last_g[:] = g
        theta += last_step
        memory |= {"pairs": float(pairs), "scale": scale}

    def _remember(self, S: Array, Y: Array, pairs: int, s: Array, y: Array) -> int:
        if pairs == self.memory:
            S[:-1], Y[:-1] = S[1:].copy(), Y[1:].copy()
            pairs -= 1
        S[pairs], Y[pairs] = s, y
        return pairs + 1

    @staticmethod
    def _times_inverse_hessian(g: Array, S: Array, Y: Array, scale: float) -> Array:
        q = g.copy()
        alphas = []
        for s, y in zip(reversed(S), reversed(Y), strict=True):
            alpha = float(s @ q) / float(y @ s)
            q -= alpha * y
            alphas.append(alpha)
        q *= scale
        for s, y, alpha in zip(S, Y, reversed(alphas), strict=True):
            q += (alpha - float(y @ q) / float(y @ s)) * s
        return q


@OPTIMIZERS.add("conjugate_gradient")
@dataclass(frozen=True, kw_only=True)
class ConjugateGradient(Method):
    """Along directions that do not undo each other, each to its lowest point."""

    formula = "d = -g + max(0, g'(g - g_before) / g_before'g_before) d"
    source = "Polak & Ribiere 1969, never negative (Powell 1986); Nocedal & Wright 2006, eq. 5.45"
    scheduled = False
    learning_rate: float = setting(1.0, "The first step that is tried.", above=0)

    slots = 2

    def advance(
        self, theta: Array, slots: Array, memory: dict[str, float], objective: Objective
    ) -> None:
        d, before = slots
        g = objective.gradient(theta)
        if not np.abs(g).max(initial=0) > 0:
            return
        squared = float(before @ before)
        beta = max(0.0, float(g @ (g - before)) / squared) if squared else 0.0
        d *= beta
        d -= g
        if float(g @ d) >= 0:  # not downhill any more: begin again
            d[:] = -g
        before[:] = g
        first = memory.get("t", self.learning_rate / float(np.abs(g).sum()))
        t = wolfe(objective, theta, d, g, first=first, c2=0.1)
        memory["t"] = max(t, 1e-12)
        theta += t * d


@OPTIMIZERS.add("scaled_conjugate_gradient")
@dataclass(frozen=True, kw_only=True)
class ScaledConjugateGradient(Method):
    """Conjugate gradients without a line search: the step's length from the bend, damped."""

    formula = "s = (g(theta + sigma p) - g) / sigma; alpha = p'r / (p's + lambda |p|^2)"
    source = "Moller 1993, section 4, steps 1-9; sigma 1e-5, lambda 1e-7"
    scheduled = False
    learning_rate: float = setting(1.0, "The share of each step that is made.", above=0, most=1)
    sigma: float = setting(1e-5, "How far away the second gradient is taken.", above=0, most=1e-2)
    damping: float = setting(1e-7, "Damping, to begin with.", above=0, most=1e-2)

    slots = 2

    def advance(
        self, theta: Array, slots: Array, memory: dict[str, float], objective: Objective
    ) -> None:
        p, r = slots
        if "k" not in memory:
            r[:] = p[:] = -objective.gradient(theta)
            memory |= {"k": 1.0, "lambda": self.damping, "bar": 0.0, "success": 1.0}
        pp = float(p @ p)
        if not pp > 0:
            return
        damping, bar = memory["lambda"], memory["bar"]
        delta = memory.get("delta", 0.0)
        if memory["success"]:
            sigma = self.sigma / math.sqrt(pp)
            delta = float(p @ (objective.gradient(theta + sigma * p) + r)) / sigma
        delta += (damping - bar) * pp
        if delta <= 0:  # the error bends down: make the bend look up
            bar = 2 * (damping - delta / pp)
            delta = -delta + damping * pp
            damping = bar
        mu = float(p @ r)
        alpha = mu / delta * self.learning_rate
        fell = objective.value(theta) - objective.value(theta + alpha * p)
        gain = 2 * delta * fell / (mu * mu) if mu else -1.0
        if gain >= 0:
            theta += alpha * p
            self._turn(p, r, objective.gradient(theta), mu, memory)
            bar = 0.0
            if gain >= 0.75:
                damping /= 4
        else:
            bar = damping
            memory["success"] = 0.0
        if not gain >= 0.25:
            damping = min(damping + delta * (1 - gain) / pp, 1e20)
        memory |= {"lambda": max(damping, 1e-20), "bar": bar, "delta": delta}

    @staticmethod
    def _turn(p: Array, r: Array, g: Array, mu: float, memory: dict[str, float]) -> None:
        """The next direction, after a step that led down."""
        if memory["k"] % len(p) == 0:
            p[:] = -g
        else:
            beta = (float(g @ g) + float(g @ r)) / mu
            p *= beta
            p -= g
        r[:] = -g
        memory |= {"k": memory["k"] + 1, "success": 1.0}


def wolfe(
    objective: Objective,
    theta: Array,
    d: Array,
    g: Array,
    *,
    first: float,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> float:
    """A step t along d that fulfils the strong Wolfe conditions; 0 where none was found.

    Nocedal & Wright 2006, algorithms 3.5 and 3.6, the zoom by halving.
    """
    E0, slope0 = objective.value(theta), float(g @ d)
    if slope0 >= 0:
        return 0.0

    def slope_at(t: float) -> float:
        return float(objective.gradient(theta + t * d) @ d)

    low, high, E_low, t = 0.0, math.inf, E0, first
    for _ in range(MOST_TRIES):
        E = objective.value(theta + t * d)
        if not E0 + c1 * t * slope0 >= E or (low > 0 and E_low <= E):
            high = t
        else:
            slope = slope_at(t)
            if abs(slope) <= -c2 * slope0:
                return t
            if slope > 0:
                high = t
            else:
                low, E_low = t, E
        t = (low + high) / 2 if high < math.inf else 2 * t
    return low
