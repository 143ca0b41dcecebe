"""The names that a definition may use and that are no parts of the engine."""

from __future__ import annotations

from typing import Literal

UpdateOrder = Literal["simultaneous", "layerwise"]
Task = Literal["classification", "regression"]
ScalingName = Literal["none", "standard", "minmax"]
Dtype = Literal["float64", "float32"]
Kernel = Literal["auto", "plain", "compiled"]
