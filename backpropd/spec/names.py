"""The names that a definition may use and that are no parts of the engine."""

from __future__ import annotations

from typing import Literal

UpdateOrder = Literal["simultaneous", "layerwise"]
Task = Literal["classification", "regression"]
ScalingName = Literal["none", "standard", "minmax"]
MissingRule = Literal["refuse", "drop", "mean", "median", "most_frequent"]
FileFormat = Literal["csv", "jsonl", "parquet", "npz"]
SplitMethod = Literal["stratified", "random", "grouped", "ordered"]
Dtype = Literal["float64", "float32"]
Kernel = Literal["auto", "plain", "compiled"]
