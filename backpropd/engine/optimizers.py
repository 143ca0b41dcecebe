"""Optimizers: how theta moves against its gradient.

A new one is one class, in this file, in adaptive_rates.py (the textbooks' rates of each weight's
own) or in second_order.py. A `Rule` works on any stretch of theta with the stretch of its own state
vectors (slots) beside it, so that the layerwise update order needs no second copy. Slots are 0
before the first step, which is number 1. The letters are those of the papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from backpropd.engine.arrays import Array, root
from backpropd.engine.parts import Part, Registry, setting


class Optimizer(Part):
    """Moves theta in place."""

    full_batch: ClassVar[bool] = False  # makes sense only where every step sees every sample
    needs_squared: ClassVar[bool] = False  # works on a sum of squares alone
    scheduled: ClassVar[bool] = True  # has a learning rate, which a schedule may change
    looks_around: ClassVar[bool] = False  # asks for the error in more places than one: a Method
    learning_rate: float

    @property
    def slots(self) -> int:
        """How many state vectors as long as theta it keeps."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Moment:
    """When an update is made."""

    learning_rate: float
    step: int  # updates so far, this one included
    error_rose: bool  # whether the error is larger than at the step before


class Rule(Optimizer):
    """Moves each weight by its own derivative and what was remembered of it."""

    # Where these are no settings of the rule, there is no decay.
    weight_decay: float = 0.0
    decoupled: bool = False  # the decay is a step of its own, not part of the gradient

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        """Move theta (p,), by its gradient g (p,), which may be changed, and state slots (n, p)."""
        raise NotImplementedError

    def step(
        self,
        theta: Array,
        g: Array,
        slots: Array,
        at: Moment,
        *,
        trainable: NDArray[np.bool_] | None,
    ) -> None:
        """Decay theta (p,), where it is trained (all of it where None), and update it."""
        if self.weight_decay:
            decay = self.weight_decay * theta
            if trainable is not None:
                decay = decay * trainable
            if self.decoupled:
                theta -= at.learning_rate * decay
            else:
                g += decay
        self.update(theta, g, slots, at)


class Objective(Protocol):
    """The error of all samples as a function of theta, for optimizers that look around."""

    def value(self, theta: Array) -> float:
        """E at theta (P,)."""
        ...

    def gradient(self, theta: Array) -> Array:
        """dE/dtheta (P,), 0 where theta is frozen."""
        ...

    def residuals(self, theta: Array) -> tuple[Array, Array]:
        """r (R,) with E = 1/2 sum r^2, and dr/dtheta (R, P)."""
        ...


class Method(Optimizer):
    """Finds the next theta by looking at the error in more places than one."""

    full_batch = True
    looks_around = True

    def advance(
        self, theta: Array, slots: Array, memory: dict[str, float], objective: Objective
    ) -> None:
        """One iteration from theta (P,), in place; slots (n, P) and memory are its own."""
        raise NotImplementedError


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")

_RATE = "How far a step goes."
_DECAY = "Pulls every weight and bias towards 0."
_DECOUPLED = "The decay is a step of its own (Loshchilov & Hutter 2019), no part of the gradient."


@OPTIMIZERS.add("sgd")
@dataclass(frozen=True, kw_only=True)
class Sgd(Rule):
    """Gradient descent, plain or with momentum, of either textbook form.

    The forms differ only while the learning rate changes: "displacement" scales each gradient by
    the rate of its own step, "velocity" scales all that is remembered by the present one.
    """

    formula = (
        "displacement: d = -rate * g + momentum * d, theta += d; "
        "velocity: v = momentum * v + g, theta -= rate * v"
    )
    source = (
        "displacement: Rumelhart, Hinton & Williams 1986, eq. 9 (Nature), Keras, scikit-learn; "
        "velocity: PyTorch; nesterov: Nesterov 1983 as Sutskever et al. 2013 rewrite it"
    )
    learning_rate: float = setting(0.01, _RATE, above=0)
    momentum: float = setting(
        0.0, "How much of the step before is added to this one.", least=0, below=1
    )
    momentum_form: str = setting(
        "displacement", "What is remembered.", choices=("displacement", "velocity")
    )
    nesterov: bool = setting(False, "Looks ahead: the momentum counts once more in each step.")
    weight_decay: float = setting(0.0, _DECAY, least=0)
    decoupled: bool = setting(False, _DECOUPLED)

    @property
    def slots(self) -> int:
        return 1 if self.momentum else 0

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        if not self.momentum:
            theta -= at.learning_rate * g
            return
        remembered = slots[0]
        remembered *= self.momentum
        if self.momentum_form == "velocity":
            remembered += g
            ahead = g + self.momentum * remembered if self.nesterov else remembered
            theta -= at.learning_rate * ahead
            return
        remembered -= at.learning_rate * g
        theta += remembered
        if self.nesterov:  # momentum * d - rate * g, from the d that has just been added
            theta += (self.momentum - 1) * remembered
            theta -= at.learning_rate * g


@OPTIMIZERS.add("adagrad")
@dataclass(frozen=True, kw_only=True)
class Adagrad(Rule):
    """The more a weight has moved, the less it moves."""

    formula = "s += g^2; theta -= rate * g / (sqrt(s) + epsilon)"
    source = "Duchi, Hazan & Singer 2011; PyTorch's epsilon"
    learning_rate: float = setting(0.01, _RATE, above=0)
    initial_accumulator: float = setting(0.0, "What s starts at.", least=0)
    epsilon: float = setting(1e-10, "Keeps the divisor from 0.", above=0)
    weight_decay: float = setting(0.0, _DECAY, least=0)

    slots = 1

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        (s,) = slots
        if at.step == 1:
            s += self.initial_accumulator
        s += g * g
        theta -= at.learning_rate * g / (np.sqrt(s) + self.epsilon)


@OPTIMIZERS.add("adadelta")
@dataclass(frozen=True, kw_only=True)
class Adadelta(Rule):
    """Steps in the units of the weights: of the size of those that were made lately."""

    formula = (
        "s = rho s + (1 - rho) g^2; d = sqrt(u + epsilon) / sqrt(s + epsilon) * g; "
        "u = rho u + (1 - rho) d^2; theta -= rate * d"
    )
    source = "Zeiler 2012, algorithm 1, which has rate 1"
    learning_rate: float = setting(1.0, _RATE, above=0)
    rho: float = setting(0.9, "How much of the averages stays.", least=0, below=1)
    epsilon: float = setting(1e-6, "Keeps the divisor from 0, and the first steps too.", above=0)
    weight_decay: float = setting(0.0, _DECAY, least=0)

    slots = 2

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        s, u = slots
        s *= self.rho
        s += (1 - self.rho) * g * g
        d = np.sqrt(u + self.epsilon) / np.sqrt(s + self.epsilon) * g
        u *= self.rho
        u += (1 - self.rho) * d * d
        theta -= at.learning_rate * d


@OPTIMIZERS.add("rmsprop")
@dataclass(frozen=True, kw_only=True)
class Rmsprop(Rule):
    """Each derivative over its root mean square of late; centred: over its deviation."""

    formula = (
        "s = rho s + (1 - rho) g^2; centred: m = rho m + (1 - rho) g, s' = s - m^2; "
        "d = momentum * d + g / (sqrt(s') + epsilon); theta -= rate * d"
    )
    source = "Tieleman & Hinton 2012, lecture 6.5; centred: Graves 2013, eq. 38-42; as in PyTorch"
    learning_rate: float = setting(0.01, _RATE, above=0)
    rho: float = setting(0.99, "How much of the averages stays.", least=0, below=1)
    momentum: float = setting(0.0, "How much of the step before is added.", least=0, below=1)
    centred: bool = setting(False, "Take the mean off before the square.")
    epsilon: float = setting(1e-8, "Keeps the divisor from 0.", above=0)
    weight_decay: float = setting(0.0, _DECAY, least=0)

    @property
    def slots(self) -> int:
        return 1 + self.centred + bool(self.momentum)

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        s = slots[0]
        s *= self.rho
        s += (1 - self.rho) * g * g
        variance = s
        if self.centred:
            m = slots[1]
            m *= self.rho
            m += (1 - self.rho) * g
            variance = np.maximum(s - m * m, 0)
        d = g / (np.sqrt(variance) + self.epsilon)
        if self.momentum:
            remembered = slots[-1]
            remembered *= self.momentum
            remembered += d
            d = remembered
        theta -= at.learning_rate * d


@dataclass(frozen=True, kw_only=True)
class _Moments(Rule):
    """What Adam and its kin have in common: running means m of g, and v of its square."""

    learning_rate: float = setting(0.001, _RATE, above=0)
    beta_1: float = setting(0.9, "How much of m stays.", least=0, below=1)
    beta_2: float = setting(0.999, "How much of v stays.", least=0, below=1)
    epsilon: float = setting(1e-8, "Keeps the divisor from 0.", above=0)

    slots = 2

    def _mean(self, m: Array, g: Array) -> None:
        m *= self.beta_1
        m += (1 - self.beta_1) * g

    def _mean_of_squares(self, v: Array, g: Array) -> None:
        v *= self.beta_2
        v += (1 - self.beta_2) * (g * g)

    def _adam(self, theta: Array, m: Array, v: Array, at: Moment) -> None:
        divisor = np.sqrt(v) / root(1 - self.beta_2**at.step) + self.epsilon
        theta -= at.learning_rate / (1 - self.beta_1**at.step) * (m / divisor)


@OPTIMIZERS.add("adam")
@dataclass(frozen=True, kw_only=True)
class Adam(_Moments):
    """Momentum, over the root mean square."""

    formula = (
        "m = beta_1 m + (1 - beta_1) g; v = beta_2 v + (1 - beta_2) g^2; "
        "theta -= rate * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)"
    )
    source = (
        "Kingma & Ba 2015, algorithm 1, as in PyTorch; scikit-learn and Keras add epsilon before "
        "v is corrected"
    )
    weight_decay: float = setting(0.0, _DECAY, least=0)

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        m, v = slots
        self._mean(m, g)
        self._mean_of_squares(v, g)
        self._adam(theta, m, v, at)


@OPTIMIZERS.add("adamw")
@dataclass(frozen=True, kw_only=True)
class Adamw(Adam):
    """Adam, with the decay as a step of its own."""

    formula = "theta -= rate * weight_decay * theta; then as adam"
    source = "Loshchilov & Hutter 2019, algorithm 2; PyTorch scales the decay by the rate, as here"
    decoupled = True
    weight_decay: float = setting(0.01, _DECAY, least=0)


@OPTIMIZERS.add("amsgrad")
@dataclass(frozen=True, kw_only=True)
class Amsgrad(_Moments):
    """Adam, over the largest mean square so far: its rates never grow again."""

    formula = "as adam, with max(v so far) in the place of v"
    source = "Reddi, Kale & Kumar 2018, algorithm 2; bias corrected as in PyTorch"
    weight_decay: float = setting(0.0, _DECAY, least=0)

    slots = 3

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        m, v, largest = slots
        self._mean(m, g)
        self._mean_of_squares(v, g)
        np.maximum(largest, v, out=largest)
        self._adam(theta, m, largest, at)


@OPTIMIZERS.add("nadam")
@dataclass(frozen=True, kw_only=True)
class Nadam(_Moments):
    """Adam, with Nesterov's look ahead."""

    formula = (
        "mu_t = beta_1 (1 - 0.96^(t * momentum_decay) / 2); theta -= rate * ((1 - mu_t) g / "
        "(1 - prod mu_1..t) + mu_t+1 m / (1 - prod mu_1..t+1)) / (sqrt(v / (1 - beta_2^t)) + eps)"
    )
    source = "Dozat 2016; as in PyTorch"
    learning_rate: float = setting(0.002, _RATE, above=0)
    momentum_decay: float = setting(0.004, "How soon the momentum is whole.", least=0, most=10)
    weight_decay: float = setting(0.0, _DECAY, least=0)
    decoupled: bool = setting(False, _DECOUPLED)

    slots = 3

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        m, v, product = slots  # the product of all mu is one number, kept beside every weight
        self._mean(m, g)
        self._mean_of_squares(v, g)
        if at.step == 1:
            product += 1
        mu, mu_next = self._mu(at.step), self._mu(at.step + 1)
        product *= mu
        divisor = np.sqrt(v / (1 - self.beta_2**at.step)) + self.epsilon
        theta -= at.learning_rate * (1 - mu) / (1 - product) * g / divisor
        theta -= at.learning_rate * mu_next / (1 - product * mu_next) * m / divisor

    def _mu(self, step: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))


@OPTIMIZERS.add("radam")
@dataclass(frozen=True, kw_only=True)
class Radam(_Moments):
    """Adam, held back while v rests on too few steps."""

    formula = (
        "rho = rho_inf - 2 t beta_2^t / (1 - beta_2^t), rho_inf = 2 / (1 - beta_2) - 1; where "
        "rho > 5 as adam, times sqrt((rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho))"
        "; else theta -= rate * m / (1 - beta_1^t)"
    )
    source = "Liu et al. 2020, algorithm 2; as in PyTorch"
    weight_decay: float = setting(0.0, _DECAY, least=0)
    decoupled: bool = setting(False, _DECOUPLED)

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        m, v = slots
        self._mean(m, g)
        self._mean_of_squares(v, g)
        m_hat = m / (1 - self.beta_1**at.step)
        end = 2 / (1 - self.beta_2) - 1
        correction = 1 - self.beta_2**at.step
        rho = end - 2 * at.step * self.beta_2**at.step / correction
        if rho <= 5:
            theta -= at.learning_rate * m_hat
            return
        r = root((rho - 4) * (rho - 2) * end / ((end - 4) * (end - 2) * rho))
        theta -= at.learning_rate * m_hat * (root(correction) / (np.sqrt(v) + self.epsilon)) * r


@OPTIMIZERS.add("adamax")
@dataclass(frozen=True, kw_only=True)
class Adamax(_Moments):
    """Adam, over the largest derivative of late."""

    formula = "u = max(beta_2 u, |g| + epsilon); theta -= rate / (1 - beta_1^t) * m / u"
    source = "Kingma & Ba 2015, algorithm 2; epsilon as in PyTorch"
    learning_rate: float = setting(0.002, _RATE, above=0)
    weight_decay: float = setting(0.0, _DECAY, least=0)

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        m, u = slots
        self._mean(m, g)
        u *= self.beta_2
        np.maximum(u, np.abs(g) + self.epsilon, out=u)
        theta -= at.learning_rate / (1 - self.beta_1**at.step) * (m / u)


@OPTIMIZERS.add("lion")
@dataclass(frozen=True, kw_only=True)
class Lion(Rule):
    """Steps of one size: the sign alone of a mean of derivatives."""

    formula = (
        "theta -= rate * (sign(beta_1 m + (1 - beta_1) g) + weight_decay * theta); "
        "m = beta_2 m + (1 - beta_2) g"
    )
    source = "Chen et al. 2023, algorithm 2"
    decoupled = True
    learning_rate: float = setting(0.0001, _RATE, above=0)
    beta_1: float = setting(0.9, "How much of m counts in a step.", least=0, below=1)
    beta_2: float = setting(0.99, "How much of m stays.", least=0, below=1)
    weight_decay: float = setting(0.0, _DECAY, least=0)

    slots = 1

    def update(self, theta: Array, g: Array, slots: Array, at: Moment) -> None:
        (m,) = slots
        theta -= at.learning_rate * np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        m *= self.beta_2
        m += (1 - self.beta_2) * g
