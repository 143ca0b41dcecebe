"""Weights of another network, or out of a file, as the beginning of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backpropd.export.model import Floats, Weights
from backpropd.spec.build import build_network
from backpropd.spec.faults import Fault, Invalid, pointer_to, unknown_name
from backpropd.spec.network import NetworkSpec


def chosen(weights: Weights, layers: Sequence[str] | None) -> Weights:
    """The arrays of these layers alone."""
    if layers is None:
        return weights
    return {name: array for name, array in weights.items() if name.rsplit(".", 1)[0] in layers}


def faults_of(
    spec: NetworkSpec, shapes: Mapping[str, Sequence[int]], layers: Sequence[str] | None
) -> list[Fault]:
    """What keeps arrays of these names and shapes from being this network's."""
    named = [layer.name for layer in spec.layers]
    faults = [
        Fault(pointer_to("layers", place), "unknown_name", unknown_name("layer", name, named))
        for place, name in enumerate(layers or ())
        if name not in named
    ]
    network = build_network(spec, dtype="float64")
    wanted = {
        window.name: window.shape
        for window in network.layout.windows
        if layers is None or window.name.rsplit(".", 1)[0] in layers
    }
    for name, shape in wanted.items():
        if name not in shapes:
            faults.append(Fault("", "missing_array", f"{name} of shape {shape} is missing."))
        elif tuple(shapes[name]) != shape:
            given = tuple(shapes[name])
            detail = f"{name} has shape {given}; the network has {shape}."
            faults.append(Fault("", "shape_mismatch", detail))
    for name in shapes:
        if name not in wanted:
            detail = unknown_name("array", name, list(wanted))
            faults.append(Fault("", "unknown_array", detail))
    return faults


def begun_with(spec: NetworkSpec, theta: Floats, weights: Weights) -> Floats:
    """theta (P,) with these arrays in the place of its own; raises Invalid, pointing to nothing.

    Arrays are of the network's shapes (see `faults_of`), finite, and as its ties have them.
    """
    layout = build_network(spec, dtype=str(theta.dtype)).layout
    out = theta.copy()
    for name, array in weights.items():
        with np.errstate(over="ignore"):
            values: Any = array.astype(theta.dtype)
        if not np.isfinite(values).all():
            detail = f"{name} holds numbers that are not finite in {theta.dtype}."
            raise Invalid([Fault("", "not_finite", detail)])
        layout.window[name].put(values, out)
        if not np.array_equal(layout.window[name].view(out), values):
            detail = f"{name} has weights that differ where the network ties or masks them."
            raise Invalid([Fault("", "contradiction", detail)])
    return out
