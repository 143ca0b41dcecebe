"""Initial weights: how a matrix (units, fan_in) is drawn before training.

A new one is one frozen dataclass in the tuple at the end; its fields are what a definition may set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from backpropd.engine.arrays import Array


class Initializer(Protocol):
    """Draws an array; a matrix has shape (units, fan_in), a bias vector (units,)."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """An array of this shape in float64, from this generator alone."""
        ...


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out); a bias is one weight from a unit that is always 1."""
    return (shape[1] if len(shape) == 2 else 1), shape[0]


@dataclass(frozen=True, slots=True)
class GlorotUniform:
    """U(-r, r), r = sqrt(6 / (fan_in + fan_out)); Glorot & Bengio 2010, eq. 16."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        r = np.sqrt(6 / sum(_fans(shape)))
        return rng.uniform(-r, r, shape)


@dataclass(frozen=True, slots=True)
class GlorotNormal:
    """N(0, 2 / (fan_in + fan_out)); Glorot & Bengio 2010, eq. 12."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.normal(0, np.sqrt(2 / sum(_fans(shape))), shape)


@dataclass(frozen=True, slots=True)
class HeUniform:
    """U(-r, r), r = sqrt(6 / fan_in); He et al. 2015, eq. 10, as a uniform distribution."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        r = np.sqrt(6 / _fans(shape)[0])
        return rng.uniform(-r, r, shape)


@dataclass(frozen=True, slots=True)
class HeNormal:
    """N(0, 2 / fan_in); He et al. 2015, eq. 10."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.normal(0, np.sqrt(2 / _fans(shape)[0]), shape)


@dataclass(frozen=True, slots=True)
class Uniform:
    """U(low, high), as the classic papers give it: "weights from -0.3 to 0.3"."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True, slots=True)
class Normal:
    """N(mean, std^2)."""

    mean: float
    std: float

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.normal(self.mean, self.std, shape)


@dataclass(frozen=True, slots=True)
class Constant:
    """Every entry the same; right for biases, wrong for weights, whose units would stay twins."""

    value: float

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.full(shape, self.value)


INITIALIZERS: Mapping[str, type[Initializer]] = MappingProxyType(
    {
        "glorot_uniform": GlorotUniform,
        "glorot_normal": GlorotNormal,
        "he_uniform": HeUniform,
        "he_normal": HeNormal,
        "uniform": Uniform,
        "normal": Normal,
        "constant": Constant,
    }
)
