"""A trained network as a PyTorch module: `Linear` layers by name, and what stands around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from backpropd.export.model import Model, needed
from backpropd.export.steps import LayerSteps, Result

NAMED = {
    "absolute": "abs",
    "divide": "div",
    "multiply": "mul",
    "negative": "neg",
    "power": "pow",
    "subtract": "sub",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}


def to_torch(model: Model) -> Any:
    """A `torch.nn.Module` in evaluation mode that takes encoded rows (N, I), in the data's units.

    NaN is a missing value. It gives what the service gives (N, O): a probability a class, or a
    value a target in its own units. Its state has `{layer}.weight` and `{layer}.bias`, as the
    files have; what a normalization or an activation learned is fixed. Raises NotExportable, and
    MissingExtra where PyTorch is not there.
    """
    torch = needed("torch", "torch")
    module = _module(torch, model)
    return module.eval()


def _module(torch: Any, model: Model) -> Any:
    """The class is made here, as its parent is there only where PyTorch is."""
    dtype = getattr(torch, str(model.theta.dtype))

    class TrainedNetwork(torch.nn.Module):  # type: ignore[misc]
        """A network that backpropd trained."""

        def __init__(self) -> None:
            super().__init__()
            self.names: dict[str, str] = {}
            for layer in model.layers:
                # A layer may be called as something that every module has.
                free = layer.name if not hasattr(self, layer.name) else f"{layer.name}_"
                self.names[layer.name] = free
                self.add_module(free, _linear(torch, layer, dtype))
            wide = {"shift": 0.0, "scale": 1.0}
            for of, prefix in (("scaling", ""), ("target_scaling", "target_")):
                found = model.scaling(of) or tuple(np.array(value) for value in wide.values())
                for name, values in zip(wide, found, strict=True):
                    self.register_buffer(f"{prefix}{name}", torch.from_numpy(values))
            fill = np.array(np.nan) if model.fill is None else model.fill
            self.register_buffer("fill", torch.from_numpy(fill))

        def forward(self, X: Any) -> Any:
            """(N, O) from (N, I)."""
            X = X.to(torch.float64)
            X = torch.where(torch.isnan(X), self.fill, X)
            if model.unseen:
                X = X.index_fill(1, torch.tensor(model.unseen), 0.0)
            found = {"inputs": ((X - self.shift) / self.scale).to(dtype)}
            for layer in model.layers:
                fed = torch.cat([found[source] for source in layer.sources], dim=1)
                net = getattr(self, self.names[layer.name])(fed)
                found[layer.name] = _output(torch, layer, net, dtype)
            Y = found[model.output_layer]
            if model.scaling("target_scaling") is None:
                return Y
            return Y * self.target_scale + self.target_shift

    return TrainedNetwork()


def _linear(torch: Any, layer: LayerSteps, dtype: Any) -> Any:
    units, fan_in = layer.weight.shape
    linear = torch.nn.Linear(fan_in, units, bias=layer.bias is not None, dtype=dtype)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(np.array(layer.weight)))
        if layer.bias is not None:
            linear.bias.copy_(torch.from_numpy(np.array(layer.bias)))
    return linear


def _output(torch: Any, layer: LayerSteps, net: Any, dtype: Any) -> Any:
    results = {0: net}
    for step in layer.steps:
        arguments = [
            results[each.number] if isinstance(each, Result) else torch.as_tensor(each, dtype=dtype)
            for each in step.arguments
        ]
        first = arguments[0]
        match step.operation:
            case "cast":
                found = first.to(dtype)
            case "max":
                found = first.amax(dim=1, keepdim=True)
            case "sum" | "mean" as name:
                found = getattr(first, name)(dim=1, keepdim=True)
            case "variance":
                found = first.var(dim=1, keepdim=True, unbiased=False)
            case name:
                found = getattr(torch, NAMED.get(name, name))(*arguments)
        results[step.result] = found
    return results[layer.output]
