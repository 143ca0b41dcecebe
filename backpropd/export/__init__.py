"""Trained networks in other programs: `load` a file, and make of it what they work with.

model = backpropd.export.load("model.safetensors")
module = backpropd.export.to_torch(model)
"""

from __future__ import annotations

from backpropd.export.keras_model import to_keras
from backpropd.export.model import MissingExtra, Model
from backpropd.export.onnx_graph import to_onnx
from backpropd.export.predictor import to_python
from backpropd.export.steps import NotExportable
from backpropd.export.torch_module import to_torch
from backpropd.export.weights import load

__all__ = [
    "MissingExtra",
    "Model",
    "NotExportable",
    "load",
    "to_keras",
    "to_onnx",
    "to_python",
    "to_torch",
]
