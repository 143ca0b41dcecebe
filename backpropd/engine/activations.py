"""Activation functions: a unit's output Y from its net input Z, and the derivative on the way back.

A new one is one class in this file. Elementwise ones give `forward` and dY/dZ; the others, like
softmax, write `backward` themselves: it takes dE/dY (B, O) and gives dE/dZ (B, O). Where many texts
have a factor inside, it is the setting `slope`: FANN calls it steepness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.parts import Part, Registry, setting

INFINITY = math.inf


class Activation(Part):
    """Gives a unit's output from its net input."""

    derivative: ClassVar[str]  # dy/dz as a textbook prints it
    elementwise: ClassVar[bool] = True  # each output depends on its own net input alone
    learns: ClassVar[bool] = True  # False where the derivative is 0 everywhere
    range: ClassVar[tuple[float, float]] = (-INFINITY, INFINITY)  # what outputs can be
    learned: ClassVar[Mapping[str, str]] = {}  # arrays (units,) it learns -> setting they start at

    @property
    def kinks(self) -> tuple[float, ...]:
        """Net inputs where the derivative jumps: there no difference can say it."""
        return ()

    @property
    def logit_slope(self) -> float:
        """What z is multiplied by before a loss that is fused with this activation sees it."""
        return 1.0

    def with_learned(self, arrays: Mapping[str, Array]) -> Self:
        """Itself, holding the arrays (units,) that `learned` names."""
        return self

    def learned_gradient(self, dY: Array, Z: Array, Y: Array) -> dict[str, Array]:
        """dE/d of each learned array, (units,)."""
        return {}

    def forward(self, Z: Array) -> Array:
        """Y (B, O) from Z (B, O)."""
        raise NotImplementedError

    def dydz(self, Z: Array, Y: Array) -> Array:
        """dy/dz of each unit (B, O)."""
        raise NotImplementedError

    def backward(self, dY: Array, Z: Array, Y: Array) -> Array:
        """dE/dZ (B, O) from dE/dY (B, O)."""
        return dY * self.dydz(Z, Y)


ACTIVATIONS: Registry[Activation] = Registry("activation")


def _logistic(Z: Array) -> Array:
    e = np.exp(-np.abs(Z))  # never above 1, so nothing overflows
    return np.where(Z >= 0, 1, e) / (1 + e)


def _softplus(Z: Array) -> Array:
    return np.maximum(Z, 0) + np.log1p(np.exp(-np.abs(Z)))


# NumPy has none; exact to the last bit of math.erf, at the price of a call for each entry.
_erf_of_each: Any = np.frompyfunc(math.erf, 1, 1)


def _erf(Z: Array) -> Array:
    found: Array = _erf_of_each(Z).astype(Z.dtype)
    return found


def _between(Z: Array, low: float, high: float) -> Array:
    return ((low < Z) & (high > Z)).astype(Z.dtype)


@ACTIVATIONS.add("logistic")
@dataclass(frozen=True, kw_only=True)
class Logistic(Activation):
    """Every output between 0 and 1."""

    formula = "1 / (1 + exp(-slope * z))"
    derivative = "slope * y * (1 - y) + prime_offset"
    source = (
        "Rumelhart, Hinton & Williams 1986, eq. 15 of PDP vol. 1, ch. 8; the offset is Fahlman's "
        "1988, against flat spots (0.1 there)"
    )
    range = (0.0, 1.0)
    slope: float = setting(1.0, "Steepness.", above=0, most=100)
    prime_offset: float = setting(0.0, "Added to the derivative in training.", least=0, most=1)

    @property
    def logit_slope(self) -> float:
        return self.slope

    def forward(self, Z: Array) -> Array:
        return _logistic(self.slope * Z) if self.slope != 1 else _logistic(Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.slope * (Y * (1 - Y)) + self.prime_offset

    def backward(self, dY: Array, Z: Array, Y: Array) -> Array:
        if self.slope == 1 and not self.prime_offset:
            return dY * Y * (1 - Y)
        return dY * self.dydz(Z, Y)


@ACTIVATIONS.add("tanh")
@dataclass(frozen=True, kw_only=True)
class Tanh(Activation):
    """Every output between -1 and 1."""

    formula = "tanh(slope * z)"
    derivative = "slope * (1 - y^2)"
    source = "LeCun et al. 1998, Efficient BackProp, section 4.4; FANN's SIGMOID_SYMMETRIC"
    range = (-1.0, 1.0)
    slope: float = setting(1.0, "Steepness.", above=0, most=100)

    def forward(self, Z: Array) -> Array:
        return np.tanh(self.slope * Z) if self.slope != 1 else np.tanh(Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.slope * (1 - Y * Y)

    def backward(self, dY: Array, Z: Array, Y: Array) -> Array:
        if self.slope == 1:
            return dY * (1 - Y * Y)
        return dY * self.dydz(Z, Y)


@ACTIVATIONS.add("relu")
@dataclass(frozen=True, kw_only=True)
class Relu(Activation):
    """The positive part."""

    formula = "max(0, z)"
    derivative = "1 where z > 0, else 0"
    source = "Nair & Hinton 2010"
    range = (0.0, INFINITY)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def forward(self, Z: Array) -> Array:
        return np.maximum(Z, 0)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return _between(Z, 0, INFINITY)

    def backward(self, dY: Array, Z: Array, Y: Array) -> Array:
        return dY * (Z > 0)


@ACTIVATIONS.add("linear")
@dataclass(frozen=True, kw_only=True)
class Linear(Activation):
    """The net input itself."""

    formula = "z"
    derivative = "1"
    source = "Widrow & Hoff 1960"

    def forward(self, Z: Array) -> Array:
        return np.positive(Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return np.ones_like(Z)

    def backward(self, dY: Array, Z: Array, Y: Array) -> Array:
        return dY


@ACTIVATIONS.add("softmax")
@dataclass(frozen=True, kw_only=True)
class Softmax(Activation):
    """Outputs that are positive and sum to 1: a distribution over classes."""

    formula = "exp(z_j) / sum_k exp(z_k)"
    derivative = "y_j * (1 - y_j) on the diagonal, -y_j * y_k beside it"
    source = "Bridle 1990"
    range = (0.0, 1.0)
    elementwise = False

    def forward(self, Z: Array) -> Array:
        E = np.exp(Z - Z.max(axis=-1, keepdims=True))
        return E / E.sum(axis=-1, keepdims=True)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return Y * (1 - Y)  # of a unit by its own net input

    def backward(self, dY: Array, Z: Array, Y: Array) -> Array:
        return Y * (dY - (dY * Y).sum(axis=-1, keepdims=True))


@ACTIVATIONS.add("bipolar_logistic")
@dataclass(frozen=True, kw_only=True)
class BipolarLogistic(Activation):
    """The logistic function stretched to -1 .. 1; it is tanh(slope * z / 2)."""

    formula = "2 / (1 + exp(-slope * z)) - 1"
    derivative = "slope / 2 * (1 + y) * (1 - y)"
    source = "Fausett 1994, Fundamentals of Neural Networks, section 2.3"
    range = (-1.0, 1.0)
    slope: float = setting(1.0, "Steepness.", above=0, most=100)

    def forward(self, Z: Array) -> Array:
        return np.tanh(self.slope / 2 * Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.slope / 2 * (1 + Y) * (1 - Y)


@ACTIVATIONS.add("scaled_tanh")
@dataclass(frozen=True, kw_only=True)
class ScaledTanh(Activation):
    """LeCun's tanh: targets of -1 and 1 lie where it bends most, and its gain is near 1."""

    formula = "amplitude * tanh(slope * z)"
    derivative = "amplitude * slope * (1 - (y / amplitude)^2)"
    source = "LeCun et al. 1998, Efficient BackProp, section 4.4: 1.7159 tanh(2z/3)"
    range = (-INFINITY, INFINITY)  # as wide as the amplitude, which is a setting
    amplitude: float = setting(1.7159, "The largest output.", above=0, most=100)
    slope: float = setting(2 / 3, "Steepness.", above=0, most=100)

    def forward(self, Z: Array) -> Array:
        return self.amplitude * np.tanh(self.slope * Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.amplitude * self.slope * (1 - (Y / self.amplitude) ** 2)


@ACTIVATIONS.add("hard_logistic")
@dataclass(frozen=True, kw_only=True)
class HardLogistic(Activation):
    """The logistic function from three straight lines."""

    formula = "min(max(z / 6 + 1/2, 0), 1)"
    derivative = "1/6 where -3 < z < 3, else 0"
    source = "Howard et al. 2019 (MobileNetV3); Keras 3 and PyTorch: hard_sigmoid, hardsigmoid"
    range = (0.0, 1.0)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-3.0, 3.0)

    def forward(self, Z: Array) -> Array:
        return np.clip(Z / 6 + 0.5, 0, 1)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return _between(Z, -3, 3) / 6


@ACTIVATIONS.add("hard_tanh")
@dataclass(frozen=True, kw_only=True)
class HardTanh(Activation):
    """tanh from three straight lines."""

    formula = "min(max(slope * z, -1), 1)"
    derivative = "slope where -1 < slope * z < 1, else 0"
    source = "Collobert 2004; FANN's LINEAR_PIECE_SYMMETRIC; PyTorch: hardtanh"
    range = (-1.0, 1.0)
    slope: float = setting(1.0, "Steepness.", above=0, most=100)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-1 / self.slope, 1 / self.slope)

    def forward(self, Z: Array) -> Array:
        return np.clip(self.slope * Z, -1, 1)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.slope * _between(self.slope * Z, -1, 1)


@ACTIVATIONS.add("linear_piece")
@dataclass(frozen=True, kw_only=True)
class LinearPiece(Activation):
    """A line, cut off at 0 and 1."""

    formula = "min(max(slope * z, 0), 1)"
    derivative = "slope where 0 < slope * z < 1, else 0"
    source = "FANN's LINEAR_PIECE"
    range = (0.0, 1.0)
    slope: float = setting(1.0, "Steepness.", above=0, most=100)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0, 1 / self.slope)

    def forward(self, Z: Array) -> Array:
        return np.clip(self.slope * Z, 0, 1)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.slope * _between(self.slope * Z, 0, 1)


@ACTIVATIONS.add("elliott")
@dataclass(frozen=True, kw_only=True)
class Elliott(Activation):
    """A logistic curve without an exponential."""

    formula = "slope * z / 2 / (1 + |slope * z|) + 1/2"
    derivative = "slope / 2 / (1 + |slope * z|)^2"
    source = "Elliott 1993; FANN's ELLIOT"
    range = (0.0, 1.0)
    slope: float = setting(1.0, "Steepness.", above=0, most=100)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)  # of the second derivative

    def forward(self, Z: Array) -> Array:
        return self.slope * Z / 2 / (1 + np.abs(self.slope * Z)) + 0.5

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.slope / 2 / (1 + np.abs(self.slope * Z)) ** 2


@ACTIVATIONS.add("softsign")
@dataclass(frozen=True, kw_only=True)
class Softsign(Activation):
    """A tanh without an exponential."""

    formula = "slope * z / (1 + |slope * z|)"
    derivative = "slope / (1 + |slope * z|)^2"
    source = "Bergstra et al. 2009; FANN's ELLIOT_SYMMETRIC"
    range = (-1.0, 1.0)
    slope: float = setting(1.0, "Steepness.", above=0, most=100)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)  # of the second derivative

    def forward(self, Z: Array) -> Array:
        return self.slope * Z / (1 + np.abs(self.slope * Z))

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.slope / (1 + np.abs(self.slope * Z)) ** 2


@ACTIVATIONS.add("leaky_relu")
@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Activation):
    """A relu that lets a little of the negative part through."""

    formula = "z where z > 0, else negative_slope * z"
    derivative = "1 where z > 0, else negative_slope"
    source = "Maas, Hannun & Ng 2013; PyTorch's 0.01 (Keras 3: 0.3)"
    negative_slope: float = setting(0.01, "Slope below 0.", least=0, most=100)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def forward(self, Z: Array) -> Array:
        return np.where(Z > 0, Z, self.negative_slope * Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return np.where(Z > 0, 1, self.negative_slope).astype(Z.dtype)


@ACTIVATIONS.add("prelu")
@dataclass(frozen=True, kw_only=True)
class Prelu(Activation):
    """A leaky relu whose negative slope each unit learns."""

    formula = "z where z > 0, else alpha_j * z"
    derivative = "1 where z > 0, else alpha_j; dy/dalpha_j = z where z <= 0, else 0"
    source = "He et al. 2015, eq. 1"
    learned: ClassVar[Mapping[str, str]] = {"alpha": "initial_alpha"}
    initial_alpha: float = setting(0.25, "What every alpha starts at.", least=-100, most=100)
    alpha: Array | None = None  # (units,), out of theta

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def with_learned(self, arrays: Mapping[str, Array]) -> Self:
        return type(self)(initial_alpha=self.initial_alpha, alpha=arrays["alpha"])

    def forward(self, Z: Array) -> Array:
        alpha: Any = self.initial_alpha if self.alpha is None else self.alpha
        return np.where(Z > 0, Z, alpha * Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        alpha: Any = self.initial_alpha if self.alpha is None else self.alpha
        return np.where(Z > 0, 1, alpha).astype(Z.dtype)

    def learned_gradient(self, dY: Array, Z: Array, Y: Array) -> dict[str, Array]:
        return {"alpha": (dY * np.minimum(Z, 0)).sum(axis=0)}


@ACTIVATIONS.add("elu")
@dataclass(frozen=True, kw_only=True)
class Elu(Activation):
    """A relu that bends smoothly to -alpha."""

    formula = "z where z > 0, else alpha * (exp(z) - 1)"
    derivative = "1 where z > 0, else y + alpha"
    source = "Clevert, Unterthiner & Hochreiter 2016, eq. 15"
    alpha: float = setting(1.0, "Minus the smallest output.", above=0, most=100)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def forward(self, Z: Array) -> Array:
        return np.where(Z > 0, Z, self.alpha * np.expm1(np.minimum(Z, 0)))

    def dydz(self, Z: Array, Y: Array) -> Array:
        return np.where(Z > 0, 1, Y + self.alpha).astype(Z.dtype)


@ACTIVATIONS.add("selu")
@dataclass(frozen=True, kw_only=True)
class Selu(Activation):
    """An elu whose two constants keep mean 0 and variance 1 from layer to layer."""

    formula = "1.0507 * z where z > 0, else 1.0507 * 1.6733 * (exp(z) - 1)"
    derivative = "1.0507 where z > 0, else y + 1.0507 * 1.6733"
    source = "Klambauer et al. 2017, eq. 2"
    scale: ClassVar[float] = 1.0507009873554804934193349852946
    alpha: ClassVar[float] = 1.6732632423543772848170429916717

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def forward(self, Z: Array) -> Array:
        return self.scale * np.where(Z > 0, Z, self.alpha * np.expm1(np.minimum(Z, 0)))

    def dydz(self, Z: Array, Y: Array) -> Array:
        return np.where(Z > 0, self.scale, Y + self.scale * self.alpha).astype(Z.dtype)


@ACTIVATIONS.add("gelu")
@dataclass(frozen=True, kw_only=True)
class Gelu(Activation):
    """z times the chance that a normal variable is below z; exact, through the error function."""

    formula = "z * (1 + erf(z / sqrt(2))) / 2"
    derivative = "(1 + erf(z / sqrt(2))) / 2 + z * exp(-z^2 / 2) / sqrt(2 pi)"
    source = "Hendrycks & Gimpel 2016; PyTorch's and Keras's default"

    def forward(self, Z: Array) -> Array:
        return Z * (1 + _erf(Z / math.sqrt(2))) / 2

    def dydz(self, Z: Array, Y: Array) -> Array:
        density = np.exp(-Z * Z / 2) / math.sqrt(2 * math.pi)
        return (1 + _erf(Z / math.sqrt(2))) / 2 + Z * density


@ACTIVATIONS.add("gelu_tanh")
@dataclass(frozen=True, kw_only=True)
class GeluTanh(Activation):
    """The gelu, approximated."""

    formula = "z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 z^3)))"
    derivative = "(1 + t) / 2 + z / 2 * (1 - t^2) * sqrt(2 / pi) * (1 + 0.134145 z^2), t that tanh"
    source = "Hendrycks & Gimpel 2016, section 2; PyTorch: approximate='tanh'"

    def forward(self, Z: Array) -> Array:
        return Z / 2 * (1 + self._tanh(Z))

    def dydz(self, Z: Array, Y: Array) -> Array:
        t = self._tanh(Z)
        inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * Z * Z)
        return (1 + t) / 2 + Z / 2 * (1 - t * t) * inner

    def _tanh(self, Z: Array) -> Array:
        return np.tanh(math.sqrt(2 / math.pi) * (Z + 0.044715 * Z * Z * Z))


@ACTIVATIONS.add("silu")
@dataclass(frozen=True, kw_only=True)
class Silu(Activation):
    """z times its logistic function; also called swish."""

    formula = "z / (1 + exp(-z))"
    derivative = "s * (1 + z * (1 - s)), s the logistic function of z"
    source = "Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017"

    def forward(self, Z: Array) -> Array:
        return Z * _logistic(Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        s = _logistic(Z)
        return s * (1 + Z * (1 - s))


@ACTIVATIONS.add("mish")
@dataclass(frozen=True, kw_only=True)
class Mish(Activation):
    """z times the tanh of its softplus."""

    formula = "z * tanh(log(1 + exp(z)))"
    derivative = "t + z * (1 - t^2) / (1 + exp(-z)), t that tanh"
    source = "Misra 2020"

    def forward(self, Z: Array) -> Array:
        return Z * np.tanh(_softplus(Z))

    def dydz(self, Z: Array, Y: Array) -> Array:
        t = np.tanh(_softplus(Z))
        return t + Z * (1 - t * t) * _logistic(Z)


@ACTIVATIONS.add("softplus")
@dataclass(frozen=True, kw_only=True)
class Softplus(Activation):
    """A smooth relu."""

    formula = "log(1 + exp(z))"
    derivative = "1 / (1 + exp(-z))"
    source = "Dugas et al. 2001"
    range = (0.0, INFINITY)

    def forward(self, Z: Array) -> Array:
        return _softplus(Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return _logistic(Z)


@ACTIVATIONS.add("sine")
@dataclass(frozen=True, kw_only=True)
class Sine(Activation):
    """A wave between -1 and 1."""

    formula = "sin(slope * z)"
    derivative = "slope * cos(slope * z)"
    source = "Lapedes & Farber 1987; FANN's SIN_SYMMETRIC; Sitzmann et al. 2020 with slope 30"
    range = (-1.0, 1.0)
    slope: float = setting(1.0, "Frequency.", above=0, most=100)

    def forward(self, Z: Array) -> Array:
        return np.sin(self.slope * Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return self.slope * np.cos(self.slope * Z)


@ACTIVATIONS.add("cosine")
@dataclass(frozen=True, kw_only=True)
class Cosine(Activation):
    """A wave between -1 and 1, at its top for 0."""

    formula = "cos(slope * z)"
    derivative = "-slope * sin(slope * z)"
    source = "Gallant & White 1988; FANN's COS_SYMMETRIC"
    range = (-1.0, 1.0)
    slope: float = setting(1.0, "Frequency.", above=0, most=100)

    def forward(self, Z: Array) -> Array:
        return np.cos(self.slope * Z)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return -self.slope * np.sin(self.slope * Z)


@ACTIVATIONS.add("gaussian")
@dataclass(frozen=True, kw_only=True)
class Gaussian(Activation):
    """A bell: 1 for 0, and nothing far from it."""

    formula = "exp(-(slope * z)^2)"
    derivative = "-2 * slope^2 * z * y"
    source = "FANN's GAUSSIAN"
    range = (0.0, 1.0)
    slope: float = setting(1.0, "Narrowness.", above=0, most=100)

    def forward(self, Z: Array) -> Array:
        return np.exp(-((self.slope * Z) ** 2))

    def dydz(self, Z: Array, Y: Array) -> Array:
        return -2 * self.slope**2 * Z * Y


@ACTIVATIONS.add("gaussian_symmetric")
@dataclass(frozen=True, kw_only=True)
class GaussianSymmetric(Activation):
    """A bell between -1 and 1."""

    formula = "2 * exp(-(slope * z)^2) - 1"
    derivative = "-2 * slope^2 * z * (y + 1)"
    source = "FANN's GAUSSIAN_SYMMETRIC"
    range = (-1.0, 1.0)
    slope: float = setting(1.0, "Narrowness.", above=0, most=100)

    def forward(self, Z: Array) -> Array:
        return 2 * np.exp(-((self.slope * Z) ** 2)) - 1

    def dydz(self, Z: Array, Y: Array) -> Array:
        return -2 * self.slope**2 * Z * (Y + 1)


@ACTIVATIONS.add("step")
@dataclass(frozen=True, kw_only=True)
class Step(Activation):
    """The threshold unit: for using a network, as nothing can be learned through it."""

    formula = "1 where z >= 0, else 0"
    derivative = "0"
    source = "McCulloch & Pitts 1943; Rosenblatt 1958; FANN's THRESHOLD"
    range = (0.0, 1.0)
    learns = False

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def forward(self, Z: Array) -> Array:
        return (Z >= 0).astype(Z.dtype)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return np.zeros_like(Z)


@ACTIVATIONS.add("step_symmetric")
@dataclass(frozen=True, kw_only=True)
class StepSymmetric(Activation):
    """The threshold unit of -1 and 1: for using a network, not for learning."""

    formula = "1 where z >= 0, else -1"
    derivative = "0"
    source = "Widrow & Hoff 1960; FANN's THRESHOLD_SYMMETRIC"
    range = (-1.0, 1.0)
    learns = False

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def forward(self, Z: Array) -> Array:
        return np.where(Z >= 0, 1, -1).astype(Z.dtype)

    def dydz(self, Z: Array, Y: Array) -> Array:
        return np.zeros_like(Z)
