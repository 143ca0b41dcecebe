"""A trained network as a Keras model: `Dense` layers by name, and what stands around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from backpropd.export.model import Model, needed
from backpropd.export.steps import LayerSteps, Result

OVER_UNITS = {"max": "max", "sum": "sum", "mean": "mean", "variance": "var"}


def to_keras(model: Model) -> Any:
    """A functional `keras.Model` that takes encoded rows (N, I), in the data's own units.

    NaN is a missing value. It gives what the service gives (N, O), in float32, as Keras rounds to
    it here and there whatever it is told. Raises NotExportable, and MissingExtra where Keras is
    not there.
    """
    keras = needed("keras", "keras")
    ops, dtype = keras.ops, "float32"
    inputs = keras.Input((model.network.inputs,), name="inputs", dtype="float64")
    X = inputs
    if model.fill is not None:
        X = ops.where(ops.isnan(X), _row(ops, model.fill), X)
    seen = np.array([place not in model.unseen for place in range(model.network.inputs)], float)
    if not seen.all():
        X = X * _row(ops, seen)
    scaling = model.scaling()
    if scaling is not None:
        X = (X - _row(ops, scaling[0])) / _row(ops, scaling[1])
    found = {"inputs": ops.cast(X, dtype)}
    for layer in model.layers:
        fed = [found[source] for source in layer.sources]
        net = fed[0] if len(fed) == 1 else keras.layers.Concatenate(dtype=dtype)(fed)
        found[layer.name] = _output(ops, layer, _dense(keras, layer, net, dtype), dtype)
    Y = found[model.output_layer]
    scaling = model.scaling("target_scaling")
    if scaling is not None:
        Y = ops.cast(Y, "float64") * _row(ops, scaling[1]) + _row(ops, scaling[0])
    return keras.Model(inputs, Y, name="backpropd")


def _row(ops: Any, values: Any) -> Any:
    return ops.convert_to_tensor(np.asarray(values)[None, :], dtype="float64")


def _dense(keras: Any, layer: LayerSteps, net: Any, dtype: str) -> Any:
    dense = keras.layers.Dense(
        len(layer.weight), use_bias=layer.bias is not None, name=layer.name, dtype=dtype
    )
    out = dense(net)
    # Keras keeps weights as (fan_in, units).
    dense.set_weights([layer.weight.T, *([] if layer.bias is None else [layer.bias])])
    return out


def _output(ops: Any, layer: LayerSteps, net: Any, dtype: str) -> Any:
    results = {0: net}
    for step in layer.steps:
        arguments = [
            results[each.number]
            if isinstance(each, Result)
            else ops.convert_to_tensor(each, dtype=dtype)
            for each in step.arguments
        ]
        if step.operation == "cast":
            found = ops.cast(arguments[0], dtype)
        elif step.operation in OVER_UNITS:
            found = getattr(ops, OVER_UNITS[step.operation])(arguments[0], axis=-1, keepdims=True)
        else:
            found = getattr(ops, step.operation)(*arguments)
        results[step.result] = found
    return results[layer.output]
