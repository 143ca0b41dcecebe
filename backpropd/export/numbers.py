"""Numbers as strict JSON has them: NaN and infinities travel as strings, all else exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_NAMES = {math.inf: "Infinity", -math.inf: "-Infinity"}


def json_number(value: float) -> float | str:
    """The number, or its name where JSON has no number for it."""
    if math.isfinite(value):
        return value
    return _NAMES.get(value, "NaN")


def json_safe(value: Any) -> Any:
    """The same structure of dicts, lists, arrays and scalars with every number fit for JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist() if np.isfinite(value).all() else json_safe(value.tolist())
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, dict):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value
