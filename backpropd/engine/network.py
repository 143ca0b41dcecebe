"""A feed-forward network: layers in any graph without a cycle, forward and backward.

The network itself holds no weights: theta comes in with every call, so that one network serves any
number of snapshots. Weights are (units, fan_in): Z = X @ W.T + b.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import numpy as np

from backpropd.engine.activations import ACTIVATIONS
from backpropd.engine.arrays import Array
from backpropd.engine.initializers import Initializer
from backpropd.engine.losses import Loss
from backpropd.engine.metrics import METRICS
from backpropd.engine.parameters import Layout

INPUTS = "inputs"
ROWS_AT_ONCE = 4096  # rows of a forward pass outside training: bounds its memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A dense layer: units fed by its sources' outputs, laid side by side in this order."""

    name: str
    units: int
    activation: str
    sources: tuple[str, ...]  # names of layers, or "inputs"
    use_bias: bool
    train_weights: bool
    train_biases: bool


@dataclass(frozen=True, slots=True)
class Pass:
    """What a forward pass saw: by layer, its input X, net input Z and output Y, each (B, ...)."""

    X: dict[str, Array]
    Z: dict[str, Array]
    Y: dict[str, Array]
    output_layer: str

    @property
    def output(self) -> Array:
        """The network's outputs (B, O)."""
        return self.Y[self.output_layer]

    @property
    def net_output(self) -> Array:
        """The net inputs (B, O) of the output layer."""
        return self.Z[self.output_layer]


class Network:
    """A graph of layers over one parameter vector; the last layer given is the output."""

    def __init__(self, *, inputs: int, layers: Sequence[Layer], dtype: str) -> None:
        """Raises ValueError for a cycle or a source that is no layer."""
        self.inputs = inputs
        self.layers = tuple(layers)
        self.dtype = np.dtype(dtype)
        self._layer = {layer.name: layer for layer in self.layers}
        self._width = {INPUTS: inputs} | {layer.name: layer.units for layer in self.layers}
        self.order = self._sorted()
        self.layout = Layout(self._shapes())
        self.trainable = self._trainable()
        # None where all is trained: then no time goes into a mask.
        self.frozen = None if self.trainable.all() else ~self.trainable

    @property
    def output_layer(self) -> Layer:
        return self.layers[-1]

    @property
    def outputs(self) -> int:
        return self.output_layer.units

    @property
    def parameter_count(self) -> int:
        return self.layout.size

    def fan_in(self, layer: str) -> int:
        """How many values a unit of this layer takes."""
        return sum(self._width[source] for source in self._layer[layer].sources)

    def initial(
        self,
        *,
        given: Mapping[str, Array],
        draw: Mapping[str, Initializer],
        rng: np.random.Generator,
    ) -> Array:
        """Theta (P,) from arrays that are given and ones that are drawn, by window name.

        Drawn in the order of the layout, so that one seed gives one network.
        """
        theta = np.empty(self.layout.size, self.dtype)
        for window in self.layout.windows:
            view = theta[window.start : window.stop].reshape(window.shape)
            if window.name in given:
                view[...] = given[window.name]
            else:
                view[...] = draw[window.name].draw(rng, window.shape)
        return theta

    def forward(self, theta: Array, X: Array) -> Pass:
        """Run X (B, I) through every layer and keep what each one saw."""
        views = self.layout.views(theta)
        seen = Pass({}, {}, {}, self.output_layer.name)
        outputs = {INPUTS: X}
        for layer in self.order:
            fed = [outputs[source] for source in layer.sources]
            X_layer = fed[0] if len(fed) == 1 else np.concatenate(fed, axis=1)
            Z = X_layer @ views[f"{layer.name}.weight"].T
            if layer.use_bias:
                Z += views[f"{layer.name}.bias"]
            outputs[layer.name] = Y = ACTIVATIONS[layer.activation].forward(Z)
            seen.X[layer.name], seen.Z[layer.name], seen.Y[layer.name] = X_layer, Z, Y
        return seen

    def backward(
        self,
        theta: Array,
        seen: Pass,
        delta: Array,
        gradient: Array,
        *,
        on_layer: Callable[[slice], None] | None = None,
    ) -> None:
        """Write dE/dtheta (P,) into `gradient`, from dE/dZ (B, O) of the output layer.

        The generalized delta rule: Rumelhart, Hinton & Williams 1986, PDP vol. 1, ch. 8, eq. 13-14.
        `on_layer` is called with a layer's stretch of theta as soon as its gradient stands, before
        the deltas below it are computed: whoever updates there gets the layerwise order.
        """
        weights, gradients = self.layout.views(theta), self.layout.views(gradient)
        dE_dY: dict[str, Array] = {}
        for layer in reversed(self.order):
            name = layer.name
            if layer is self.output_layer:
                dZ = delta
            elif name in dE_dY:
                backward = ACTIVATIONS[layer.activation].backward
                dZ = backward(dE_dY[name], seen.Z[name], seen.Y[name])
            else:  # nobody reads this layer
                dZ = np.zeros_like(seen.Z[name])
            np.matmul(dZ.T, seen.X[name], out=gradients[f"{name}.weight"])
            if layer.use_bias:
                np.sum(dZ, axis=0, out=gradients[f"{name}.bias"])
            if on_layer is not None:
                on_layer(self.stretch(layer))
            if layer.sources != (INPUTS,):
                self._hand_down(layer, dZ @ weights[f"{name}.weight"], dE_dY)

    def predict(self, theta: Array, X: Array) -> Array:
        """Outputs (B, O) for inputs X (B, I)."""
        blocks = [self.forward(theta, block).output for block in _blocks(X)]
        return np.concatenate(blocks) if blocks else np.empty((0, self.outputs), self.dtype)

    def stretch(self, layer: Layer) -> slice:
        """Where this layer's weights and biases lie in theta."""
        own = (f"{layer.name}.weight", f"{layer.name}.bias")
        windows = [window for window in self.layout.windows if window.name in own]
        return slice(windows[0].start, windows[-1].stop)

    def _hand_down(self, layer: Layer, dX: Array, dE_dY: dict[str, Array]) -> None:
        """Add this layer's share of dE/dY to each of its sources."""
        start = 0
        for source in layer.sources:
            share = dX[:, start : start + self._width[source]]
            start += self._width[source]
            if source != INPUTS:
                dE_dY[source] = dE_dY[source] + share if source in dE_dY else share

    def _sorted(self) -> tuple[Layer, ...]:
        """The layers so that each comes after its sources, else in the order given."""
        for layer in self.layers:
            for source in layer.sources:
                if source not in self._width:
                    raise ValueError(f"layer {layer.name} is fed by {source}, which is no layer")
        # Tuples, not sets: the order of sums, and with it the last bit, must not hang on a hash.
        graph = {layer.name: [s for s in layer.sources if s != INPUTS] for layer in self.layers}
        try:
            names = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise ValueError(f"the layers form a cycle: {' -> '.join(error.args[1])}") from None
        return tuple(self._layer[name] for name in names)

    def _shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        shapes: list[tuple[str, tuple[int, ...]]] = []
        for layer in self.layers:
            shapes.append((f"{layer.name}.weight", (layer.units, self.fan_in(layer.name))))
            if layer.use_bias:
                shapes.append((f"{layer.name}.bias", (layer.units,)))
        return shapes

    def _trainable(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        mask = np.ones(self.layout.size, dtype=bool)
        for window in self.layout.windows:
            layer_name, kind = window.name.rsplit(".", 1)
            layer = self._layer[layer_name]
            trained = layer.train_weights if kind == "weight" else layer.train_biases
            mask[window.start : window.stop] = trained
        return mask


def evaluate(
    network: Network, theta: Array, X: Array, T: Array, *, loss: Loss, metrics: Sequence[str]
) -> dict[str, float]:
    """Mean loss and metrics of a network over samples X (N, I) with targets T (N, O), N >= 1."""
    sums = np.zeros(1 + len(metrics))
    for X_block, T_block in zip(_blocks(X), _blocks(T), strict=True):
        seen = network.forward(theta, X_block)
        sums[0] += loss.value(seen.net_output, seen.output, T_block).sum(dtype=np.float64)
        for column, metric in enumerate(metrics, start=1):
            sums[column] += METRICS[metric](seen.output, T_block).sum()
    return dict(zip(["loss", *metrics], (sums / len(X)).tolist(), strict=True))


def _blocks(X: Array) -> list[Array]:
    return [X[start : start + ROWS_AT_ONCE] for start in range(0, len(X), ROWS_AT_ONCE)]
