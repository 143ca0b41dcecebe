"""Metrics: what a person wants to know beside the loss, per sample, so that a mean says it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from backpropd.engine.arrays import Array


def accuracy(Y: Array, T: Array) -> Array:
    """1.0 for each sample whose class is right, else 0.0; Y and T are (B, O), the answer (B,).

    With several outputs the class is the largest one; with one it is the side of 0.5.
    """
    if Y.shape[-1] == 1:
        right = np.asarray((Y[..., 0] > 0.5) == (T[..., 0] > 0.5))
    else:
        right = np.asarray(Y.argmax(axis=-1) == T.argmax(axis=-1))
    out: Array = right.astype(np.float64)
    return out


METRICS: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType({"accuracy": accuracy})
