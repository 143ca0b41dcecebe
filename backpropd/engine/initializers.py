"""Initial weights: how a matrix (units, fan_in) is drawn before training.

A new one is one class in this file; its settings are what a definition may say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.parts import Part, Registry, setting


class Initializer(Part):
    """Draws an array; a matrix has shape (units, fan_in), a bias vector (units,)."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        """An array of this shape in float64, from this generator alone.

        `fan_in` is that of the layer, for its biases too.
        """
        raise NotImplementedError


INITIALIZERS: Registry[Initializer] = Registry("initializer")


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out); a bias is one weight from a unit that is always 1."""
    return (shape[1] if len(shape) == 2 else 1), shape[0]


@INITIALIZERS.add("glorot_uniform")
@dataclass(frozen=True, kw_only=True)
class GlorotUniform(Initializer):
    """As wide as keeps variances alike, forward and backward."""

    formula = "U(-r, r), r = sqrt(6 / (fan_in + fan_out))"
    source = "Glorot & Bengio 2010, eq. 16; PyTorch: xavier_uniform_"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        r = np.sqrt(6 / sum(_fans(shape)))
        return rng.uniform(-r, r, shape)


@INITIALIZERS.add("glorot_normal")
@dataclass(frozen=True, kw_only=True)
class GlorotNormal(Initializer):
    """As wide as keeps variances alike, forward and backward."""

    formula = "N(0, 2 / (fan_in + fan_out))"
    source = "Glorot & Bengio 2010, eq. 12; PyTorch: xavier_normal_ (Keras truncates it)"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        return rng.normal(0, np.sqrt(2 / sum(_fans(shape))), shape)


@INITIALIZERS.add("he_uniform")
@dataclass(frozen=True, kw_only=True)
class HeUniform(Initializer):
    """For relu layers, which lose half the variance."""

    formula = "U(-r, r), r = sqrt(6 / fan_in)"
    source = "He et al. 2015, eq. 10, as a uniform distribution"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        r = np.sqrt(6 / _fans(shape)[0])
        return rng.uniform(-r, r, shape)


@INITIALIZERS.add("he_normal")
@dataclass(frozen=True, kw_only=True)
class HeNormal(Initializer):
    """For relu layers, which lose half the variance."""

    formula = "N(0, 2 / fan_in)"
    source = "He et al. 2015, eq. 10 (Keras truncates it)"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        return rng.normal(0, np.sqrt(2 / _fans(shape)[0]), shape)


@INITIALIZERS.add("lecun_uniform")
@dataclass(frozen=True, kw_only=True)
class LecunUniform(Initializer):
    """Keeps the variance forward; for scaled_tanh and selu."""

    formula = "U(-r, r), r = sqrt(3 / fan_in)"
    source = "LeCun et al. 1998, Efficient BackProp, eq. 16, as a uniform distribution"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        r = np.sqrt(3 / _fans(shape)[0])
        return rng.uniform(-r, r, shape)


@INITIALIZERS.add("lecun_normal")
@dataclass(frozen=True, kw_only=True)
class LecunNormal(Initializer):
    """Keeps the variance forward; for scaled_tanh and selu."""

    formula = "N(0, 1 / fan_in)"
    source = "LeCun et al. 1998, Efficient BackProp, eq. 16 (Keras truncates it)"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        return rng.normal(0, np.sqrt(1 / _fans(shape)[0]), shape)


@INITIALIZERS.add("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Initializer):
    """A range, as the classic papers give it: "weights from -0.3 to 0.3"."""

    formula = "U(low, high)"
    source = "Rumelhart, Hinton & Williams 1986"
    low: float = setting(-0.5, "The smallest value.")
    high: float = setting(0.5, "Above every value; more than low.")

    def check(self) -> Iterator[tuple[str, str]]:
        if not self.low < self.high:
            yield "high", f"high ({self.high}) is above low ({self.low})."

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        return rng.uniform(self.low, self.high, shape)


@INITIALIZERS.add("normal")
@dataclass(frozen=True, kw_only=True)
class Normal(Initializer):
    """A bell of a given width."""

    formula = "N(mean, std^2)"
    source = "any text on statistics"
    mean: float = setting(0.0, "The mean.")
    std: float = setting(0.1, "Standard deviation.", above=0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        return rng.normal(self.mean, self.std, shape)


@INITIALIZERS.add("truncated_normal")
@dataclass(frozen=True, kw_only=True)
class TruncatedNormal(Initializer):
    """A bell without its tails: what lies beyond two deviations is drawn again."""

    formula = "N(mean, std^2), |w - mean| <= 2 std"
    source = "TensorFlow and Keras (TruncatedNormal)"
    mean: float = setting(0.0, "The mean.")
    std: float = setting(0.1, "Standard deviation of the whole bell.", above=0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        out = rng.normal(0, 1, shape)
        while (far := np.abs(out) > 2).any():
            out[far] = rng.normal(0, 1, int(far.sum()))
        return self.mean + self.std * out


@INITIALIZERS.add("orthogonal")
@dataclass(frozen=True, kw_only=True)
class Orthogonal(Initializer):
    """Rows (or columns, where there are fewer) at right angles, each as long as the gain."""

    formula = "gain * Q of the QR decomposition of a normal matrix, R's diagonal positive"
    source = "Saxe, McClelland & Ganguli 2014; PyTorch: orthogonal_"
    gain: float = setting(1.0, "How long each row is.", above=0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        rows, columns = (shape[0], shape[1] if len(shape) == 2 else 1)
        normal = rng.normal(size=(max(rows, columns), min(rows, columns)))
        Q, R = np.linalg.qr(normal)
        Q = Q * np.sign(np.diag(R))  # so that every orthogonal matrix is equally likely
        return self.gain * (Q if rows >= columns else Q.T).reshape(shape)


@INITIALIZERS.add("nguyen_widrow")
@dataclass(frozen=True, kw_only=True)
class NguyenWidrow(Initializer):
    """Hidden units share out the range of the inputs, -1 to 1, between them.

    As `bias_init` it places the biases to go with it.
    """

    formula = "w_j = b * v / |v|, v from U(-1/2, 1/2); bias from U(-b, b); b = 0.7 H^(1 / fan_in)"
    source = "Nguyen & Widrow 1990; Fausett 1994, section 6.1"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        b = 0.7 * math.pow(shape[0], 1 / fan_in)
        if len(shape) == 1:
            return rng.uniform(-b, b, shape)
        v = rng.uniform(-0.5, 0.5, shape)
        return b * v / np.linalg.norm(v, axis=1, keepdims=True)


@INITIALIZERS.add("constant")
@dataclass(frozen=True, kw_only=True)
class Constant(Initializer):
    """Every entry the same; right for biases, wrong for weights, whose units would stay twins."""

    formula = "value"
    source = "any text"
    value: float = setting(0.0, "The value.")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], *, fan_in: int) -> Array:
        return np.full(shape, self.value)
