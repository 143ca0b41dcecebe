"""What goes on inside each layer: norms, how far weights move, units that are dead or saturated.

Measured at the end of an epoch: gradients and outputs are those of its last batch.
"""

from __future__ import annotations

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.network import Layer, Network, Pass

STATISTICS = {
    "weight_norm": "length of the layer's weights as one vector",
    "gradient_norm": "length of their gradient, of the epoch's last batch",
    "update_ratio": "how far they moved in the epoch, as a share of their length before",
    "dead_fraction": "share of units whose derivative is 0 for every sample of the last batch",
    "saturated_fraction": (
        "share of outputs where the activation is flat: below 5 % of its steepest in the batch"
    ),
}
FLAT = 0.05


def column(layer: str, statistic: str) -> str:
    """The history's column for a statistic of a layer."""
    return f"layers.{layer}.{statistic}"


def columns(network: Network) -> list[str]:
    """All columns of a network."""
    return [column(layer.name, name) for layer in network.layers for name in STATISTICS]


def layer_statistics(
    network: Network, theta: Array, before: Array, gradient: Array, seen: Pass
) -> dict[str, float]:
    """Every column, from theta (P,) now and before the epoch, the last gradient and pass."""
    row: dict[str, float] = {}
    for layer in network.layers:
        window = network.layout.window[f"{layer.name}.weight"]
        stretch = slice(window.start, window.stop)
        length = float(np.linalg.norm(before[stretch]))
        moved = float(np.linalg.norm(theta[stretch] - before[stretch]))
        dead, saturated = _flat_units(layer, seen)
        values = (
            float(np.linalg.norm(theta[stretch])),
            float(np.linalg.norm(gradient[stretch])),
            moved / length if length else 0.0,
            dead,
            saturated,
        )
        for name, value in zip(STATISTICS, values, strict=True):
            row[column(layer.name, name)] = value
    return row


def _flat_units(layer: Layer, seen: Pass) -> tuple[float, float]:
    """(share of units that are dead, share of outputs that are saturated)."""
    slopes = np.abs(seen.activation[layer.name].dydz(seen.Z[layer.name], seen.Y[layer.name]))
    steepest = slopes.max()
    if not steepest > 0:
        return 1.0, 1.0
    return float((slopes == 0).all(axis=0).mean()), float((slopes < FLAT * steepest).mean())
