"""The names that a definition may use, as the contract prints them.

The engine's registries hold what they mean; a test holds the two lists together.
"""

from __future__ import annotations

from typing import Literal

ActivationName = Literal["logistic", "tanh", "relu", "linear", "softmax"]
LossName = Literal[
    "half_squared_error", "mean_squared_error", "binary_cross_entropy", "cross_entropy"
]
UpdateOrder = Literal["simultaneous", "layerwise"]
Metric = Literal["loss", "val_loss", "accuracy", "val_accuracy"]
Task = Literal["classification", "regression"]
ScalingName = Literal["none", "standard", "minmax"]
Dtype = Literal["float64", "float32"]

# Losses whose formula holds only for what these output activations give.
OUTPUTS_OF_LOSS: dict[str, tuple[str, ...]] = {
    "binary_cross_entropy": ("logistic",),
    "cross_entropy": ("softmax",),
}
