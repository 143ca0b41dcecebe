"""The order in which the samples of an epoch are presented, drawn from a generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]

# Fixed: as given. Shuffled: each once, in a new order. With replacement: drawn independently, so
# that some come twice and some not at all, as stochastic gradient descent is analysed.
ORDERS = ("fixed", "shuffled", "with_replacement")


def epoch_order(order: str, samples: int, rng: np.random.Generator) -> Rows:
    """Which samples an epoch presents, (N,), one of ORDERS."""
    if order == "shuffled":
        return rng.permutation(samples)
    if order == "with_replacement":
        return rng.integers(0, samples, samples, dtype=np.intp)
    return np.arange(samples)
