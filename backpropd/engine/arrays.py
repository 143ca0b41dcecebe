"""What an array is in the engine: floating point, float64 or float32.

Axes have one name everywhere: B samples of a batch, I inputs, O outputs, P all parameters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def root(x: Any) -> Any:
    """The square root of a number. Of a symbol too, where a definition is traced for a kernel."""
    return math.sqrt(x) if isinstance(x, float) else x.root()
