"""What holds weights and gradients in: penalties, a longest norm for each unit, and clipping.

Penalties are of weights, never of biases, and are no part of the loss that is reported: the loss of
training and of validation stay comparable, as in PyTorch (Keras adds them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.parameters import Window
from backpropd.engine.parts import Part, Registry, setting


@dataclass(frozen=True, slots=True, eq=False)
class Penalty:
    """l1 * sum |w| + l2 / 2 * sum w^2; both together are the elastic net (Zou & Hastie 2005).

    With the 1/2, l2 is what texts call weight decay (Bishop 1995, eq. 9.1; PyTorch); Keras's l2 is
    half of it.
    """

    l1: Array  # (P,), 0 where nothing is penalized
    l2: Array  # (P,)

    def value(self, theta: Array) -> float:
        """What is added to the mean loss."""
        return float((self.l1 * np.abs(theta) + self.l2 / 2 * theta * theta).sum())

    def add_gradient(self, theta: Array, gradient: Array, stretch: slice) -> None:
        """Add its derivative to a stretch of the gradient (P,)."""
        part = theta[stretch]
        gradient[stretch] += self.l1[stretch] * np.sign(part) + self.l2[stretch] * part


def hold_rows(W: Array, longest: float) -> None:
    """Shorten, in place, each row of W (units, fan_in) that is longer; Srebro & Shraibman 2005."""
    lengths = np.linalg.norm(W, axis=1, keepdims=True)
    W *= np.minimum(1, longest / np.maximum(lengths, np.finfo(W.dtype).tiny))


class Clip(Part):
    """Holds a gradient in, in place."""

    def clip(self, gradient: Array, windows: Sequence[Window]) -> None:
        """Shorten `gradient` (P,); `windows` says where each weight matrix and bias lies in it."""
        raise NotImplementedError


CLIPS: Registry[Clip] = Registry("clip")


@CLIPS.add("value")
@dataclass(frozen=True, kw_only=True)
class ClipValue(Clip):
    """Each derivative by itself."""

    formula = "min(max(g_i, -most), most)"
    source = "Keras: clipvalue; PyTorch: clip_grad_value_"
    most: float = setting(1.0, "The largest derivative.", above=0)

    def clip(self, gradient: Array, windows: Sequence[Window]) -> None:
        np.clip(gradient, -self.most, self.most, out=gradient)


@CLIPS.add("norm")
@dataclass(frozen=True, kw_only=True)
class ClipNorm(Clip):
    """The gradient of each weight matrix and each bias vector by itself."""

    formula = "g * min(1, most / |g|), for each array"
    source = "Keras: clipnorm"
    most: float = setting(1.0, "The longest gradient of an array.", above=0)

    def clip(self, gradient: Array, windows: Sequence[Window]) -> None:
        for window in windows:
            _shorten(gradient[window.start : window.stop], self.most)


@CLIPS.add("global_norm")
@dataclass(frozen=True, kw_only=True)
class ClipGlobalNorm(Clip):
    """The gradient as a whole: its direction stays."""

    formula = "g * min(1, most / |g|)"
    source = "Pascanu, Mikolov & Bengio 2013; Keras: global_clipnorm; PyTorch adds 1e-6 to |g|"
    most: float = setting(1.0, "The longest gradient.", above=0)

    def clip(self, gradient: Array, windows: Sequence[Window]) -> None:
        _shorten(gradient, self.most)


def _shorten(g: Array, most: float) -> None:
    length = float(np.linalg.norm(g))
    if length > most:
        g *= most / length
