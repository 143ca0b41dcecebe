"""A feed-forward network: layers in any graph without a cycle, forward and backward.

The network itself holds no weights: theta comes in with every call, so that one network serves any
number of snapshots. Weights are (units, fan_in): Z = X @ W.T + b.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from backpropd.engine.activations import Activation
from backpropd.engine.arrays import Array
from backpropd.engine.initializers import Initializer
from backpropd.engine.losses import Loss
from backpropd.engine.metrics import Metric, Tally
from backpropd.engine.normalizations import Normalization
from backpropd.engine.parameters import Layout, Ties
from backpropd.engine.regularizers import Penalty, hold_rows

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]

INPUTS = "inputs"
ROWS_AT_ONCE = 4096  # rows of a forward pass outside training: bounds its memory


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """A dense layer: units fed by its sources' outputs, laid side by side in this order."""

    name: str
    units: int
    activation: Activation
    sources: tuple[str, ...]  # names of layers, or "inputs"
    use_bias: bool
    share_bias: bool  # one bias for all units, as Mazur's drawing has it
    train_weights: bool
    train_biases: bool
    ties: Ties | None  # (units, fan_in): which weights are one, see parameters.Window
    normalization: Normalization | None  # of net inputs
    noise: float  # deviation of what is added to its outputs in training
    dropout: float  # the share of its outputs that are 0 in a training step
    l1: float
    l2: float
    max_norm: float | None  # of the weights into one unit

    def own(self, views: Mapping[str, Array], names: Mapping[str, Any]) -> dict[str, Array]:
        """Its arrays of these names, out of all of the network's."""
        return {name: views[f"{self.name}.{name}"] for name in names}


@dataclass(frozen=True, slots=True)
class Pass:
    """What a forward pass saw, by layer: its input X, net input Z and output Y, each (B, ...)."""

    output_layer: Layer
    X: dict[str, Array] = field(default_factory=dict)
    Z: dict[str, Array] = field(default_factory=dict)  # normalized, where the layer does that
    Y: dict[str, Array] = field(default_factory=dict)  # before noise and dropout
    kept: dict[str, Array] = field(default_factory=dict)  # dropout: 0, or 1 / (1 - p)
    normal: dict[str, Any] = field(default_factory=dict)  # what a normalization keeps for backward
    activation: dict[str, Activation] = field(default_factory=dict)  # with what it has learned
    output_slope: dict[str, Array] = field(
        default_factory=dict
    )  # dE/dY of an output layer that learns more

    @property
    def output(self) -> Array:
        """The network's outputs (B, O)."""
        return self.Y[self.output_layer.name]

    @property
    def net_output(self) -> Array:
        """The net inputs (B, O) of the output layer."""
        return self.Z[self.output_layer.name]

    def losses(self, loss: Loss, T: Array) -> Array:
        """E of each sample (B,)."""
        slope = self.output_layer.activation.logit_slope
        Z = self.net_output if slope == 1 else self.net_output * slope
        return loss.value(Z, self.output, T)

    def deltas(self, loss: Loss, T: Array, *, weights: Array | None = None) -> Array:
        """dE/dZ (B, O) of the output layer, E the mean loss of the samples, by their weights (B,).

        With weights it is 1/B * sum_b w_b E_b, as in Keras.
        """
        activation = self.activation[self.output_layer.name]
        delta = loss.deltas(activation, self.net_output, self.output, T) / len(T)
        if weights is not None:
            delta *= weights[:, None]
        if activation.learned:
            dY = loss.gradient(self.output, T) / len(T)
            self.output_slope[self.output_layer.name] = (
                dY if weights is None else dY * weights[:, None]
            )
        return delta

    def not_finite(self) -> str | None:
        """The first layer whose net input or output holds a NaN or an infinity."""
        for name, Z in self.Z.items():
            if not (np.isfinite(Z).all() and np.isfinite(self.Y[name]).all()):
                return name
        return None


class Network:
    """A graph of layers over one parameter vector; the last layer given is the output."""

    def __init__(
        self, *, inputs: int, layers: Sequence[Layer], dtype: str, input_noise: float
    ) -> None:
        """Raises ValueError for a cycle or a source that is no layer."""
        self.inputs = inputs
        self.layers = tuple(layers)
        self.dtype = np.dtype(dtype)
        self.input_noise = input_noise
        self._layer = {layer.name: layer for layer in self.layers}
        self._width = {INPUTS: inputs} | {layer.name: layer.units for layer in self.layers}
        self.order = self._sorted()
        self.layout = Layout(shape for layer in self.layers for shape in self._shapes(layer))
        self.learnable = self._learnable()
        self.trainable = self._trainable()
        # None where all is trained: then no time goes into a mask.
        self.frozen = None if self.trainable.all() else ~self.trainable
        self.penalty = self._penalty()
        self.held = tuple(layer for layer in self.layers if layer.max_norm is not None)
        self._stretch = {layer.name: self._stretch_of(layer) for layer in self.layers}

    @property
    def output_layer(self) -> Layer:
        return self.layers[-1]

    @property
    def outputs(self) -> int:
        return self.output_layer.units

    @property
    def parameter_count(self) -> int:
        return self.layout.size

    @property
    def random(self) -> bool:
        """Whether a training step draws: noise or dropout."""
        return bool(self.input_noise) or any(each.noise or each.dropout for each in self.layers)

    def width(self, source: str) -> int:
        """How many values a layer, or the inputs, gives."""
        return self._width[source]

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
        theta: Array = np.empty(self.layout.size, self.dtype)
        for window in self.layout.windows:
            layer_name, kind = window.name.rsplit(".", 1)
            if window.name in given:
                values: Any = given[window.name]
            elif window.name in draw:
                fan_in = self.fan_in(layer_name)
                values = draw[window.name].draw(rng, window.shape, fan_in=fan_in)
            else:
                values = _extra_arrays(self._layer[layer_name])[kind]
            window.put(values, theta)
        return theta

    def forward(self, theta: Array, X: Array, *, rng: np.random.Generator | None = None) -> Pass:
        """Run X (B, I) through every layer and keep what each one saw.

        With a generator it is a training step's pass: noise and dropout are drawn from it, batches
        are normalized by themselves, and running statistics, which are part of theta, move.
        """
        views = self.layout.views(theta)
        seen = Pass(self.output_layer)
        if rng is not None and self.input_noise:
            X = X + self.input_noise * rng.standard_normal(X.shape, self.dtype)
        outputs = {INPUTS: X}
        for layer in self.order:
            name = layer.name
            fed = [outputs[source] for source in layer.sources]
            X_layer = fed[0] if len(fed) == 1 else np.concatenate(fed, axis=1)
            Z: Array = X_layer @ views[f"{name}.weight"].T
            if layer.use_bias:
                Z += views[f"{name}.bias"]
            if layer.normalization is not None:
                own = layer.own(views, layer.normalization.arrays)
                Z, seen.normal[name] = layer.normalization.forward(Z, own, training=rng is not None)
            activation = layer.activation
            if activation.learned:
                activation = activation.with_learned(layer.own(views, activation.learned))
            outputs[name] = Y = activation.forward(Z)
            seen.X[name], seen.Z[name], seen.Y[name] = X_layer, Z, Y
            seen.activation[name] = activation
            if rng is not None and (layer.noise or layer.dropout):
                outputs[name] = self._disturbed(layer, Y, rng, seen)
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
        plain = self.layout.views(gradient)
        window = self.layout.window
        for layer, dnet, extra in self._deltas(theta, seen, delta):
            weight, X = f"{layer.name}.weight", seen.X[layer.name]
            if layer.ties is None:
                np.matmul(dnet.T, X, out=plain[weight])
            else:
                window[weight].put_gradient(dnet.T @ X, gradient)
            if layer.use_bias:
                window[f"{layer.name}.bias"].put_gradient(dnet.sum(axis=0), gradient)
            for name, values in extra.items():
                plain[f"{layer.name}.{name}"][...] = values
            if on_layer is not None:
                on_layer(self._stretch[layer.name])

    def jacobian(self, theta: Array, seen: Pass) -> Array:
        """dy/dtheta (B, O, P): how each output of each sample follows each parameter.

        Only for networks without normalization or learned activations, whose samples are apart.
        """
        J: Array = np.zeros((*seen.output.shape, self.layout.size), self.dtype)
        activation = seen.activation[self.output_layer.name]
        for output in range(self.outputs):
            one: Array = np.zeros_like(seen.output)
            one[:, output] = 1
            delta = activation.backward(one, seen.net_output, seen.output)
            for layer, dnet, _ in self._deltas(theta, seen, delta):
                each = dnet[:, :, None] * seen.X[layer.name][:, None, :]
                self._put_each(f"{layer.name}.weight", each, J[:, output])
                if layer.use_bias:
                    self._put_each(f"{layer.name}.bias", dnet, J[:, output])
        return J

    def predict(self, theta: Array, X: Array) -> Array:
        """Outputs (B, O) for inputs X (B, I)."""
        blocks = [self.forward(theta, block).output for block in _blocks(X)]
        return np.concatenate(blocks) if blocks else np.empty((0, self.outputs), self.dtype)

    def hold(self, theta: Array) -> None:
        """Shorten, in place, the weights of units that are longer than their layer's max_norm."""
        for layer in self.held:
            assert layer.max_norm is not None
            hold_rows(self.layout.window[f"{layer.name}.weight"].view(theta), layer.max_norm)

    def _deltas(
        self, theta: Array, seen: Pass, delta: Array
    ) -> Iterator[tuple[Layer, Array, dict[str, Array]]]:
        """From the output down: each layer, its dE/dnet (B, units), dE/d of its extra arrays.

        What is handed down to the layers below is computed when the next one is asked for, with
        theta as it then is.
        """
        dE_dout: dict[str, Array] = {}
        for layer in reversed(self.order):
            name = layer.name
            extra: dict[str, Array] = {}
            if layer is self.output_layer:
                dZ = delta
                if name in seen.output_slope:
                    activation = seen.activation[name]
                    extra |= activation.learned_gradient(
                        seen.output_slope[name], seen.Z[name], seen.Y[name]
                    )
            elif name in dE_dout:
                dY = dE_dout[name]
                if name in seen.kept:
                    dY = dY * seen.kept[name]
                activation = seen.activation[name]
                dZ = activation.backward(dY, seen.Z[name], seen.Y[name])
                extra |= activation.learned_gradient(dY, seen.Z[name], seen.Y[name])
            else:  # nobody reads this layer
                dZ = np.zeros_like(seen.Z[name])
            dnet = dZ
            if layer.normalization is not None:
                own = layer.own(self.layout.views(theta), layer.normalization.arrays)
                dnet, trained = layer.normalization.backward(dZ, seen.normal[name], own)
                extra |= trained
            yield layer, dnet, extra
            if layer.sources != (INPUTS,):
                weights = self.layout.window[f"{name}.weight"].view(theta)
                self._hand_down(layer, dnet @ weights, dE_dout)

    def _hand_down(self, layer: Layer, dX: Array, dE_dout: dict[str, Array]) -> None:
        """Add this layer's share of dE/dout to each of its sources."""
        start = 0
        for source in layer.sources:
            share = dX[:, start : start + self._width[source]]
            start += self._width[source]
            if source != INPUTS:
                dE_dout[source] = dE_dout[source] + share if source in dE_dout else share

    def _disturbed(self, layer: Layer, Y: Array, rng: np.random.Generator, seen: Pass) -> Array:
        """Outputs (B, units) as the layers above get them in training.

        Inverted dropout, so that nothing is to be scaled outside training: Srivastava et al. 2014.
        """
        out = Y
        if layer.noise:
            out = out + layer.noise * rng.standard_normal(Y.shape, self.dtype)
        if layer.dropout:
            kept = (rng.random(Y.shape, self.dtype) >= layer.dropout).astype(self.dtype)
            seen.kept[layer.name] = kept = kept / (1 - layer.dropout)
            out = out * kept
        return out

    def _put_each(self, name: str, values: Array, J: Array) -> None:
        """Write per-sample derivatives (B, ...) of an array into rows of J (B, P)."""
        window = self.layout.window[name]
        if window.ties is None:
            J[:, window.start : window.stop] = values.reshape(len(J), -1)
            return
        for row, of_sample in zip(J, values, strict=True):
            window.put_gradient(of_sample, row)

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

    def _shapes(self, layer: Layer) -> Iterator[tuple[str, tuple[int, ...], Ties | None]]:
        yield f"{layer.name}.weight", (layer.units, self.fan_in(layer.name)), layer.ties
        if layer.use_bias:
            shared = np.ones(layer.units, np.int64) if layer.share_bias else None
            yield f"{layer.name}.bias", (layer.units,), shared
        for name in _extra_arrays(layer):
            yield f"{layer.name}.{name}", (layer.units,), None

    def _learnable(self) -> Mask:
        """Which entries have a derivative: all but running statistics."""
        mask = np.ones(self.layout.size, dtype=bool)
        for window in self.layout.windows:
            layer_name, kind = window.name.rsplit(".", 1)
            normalization = self._layer[layer_name].normalization
            if normalization is not None and kind in normalization.arrays:
                mask[window.start : window.stop] = kind in normalization.trained
        return mask

    def _trainable(self) -> Mask:
        """Which entries training moves: all that are learnable and not frozen."""
        mask = self.learnable.copy()
        for layer in self.layers:
            frozen = {"weight": not layer.train_weights, "bias": not layer.train_biases}
            for kind in (kind for kind, so in frozen.items() if so):
                if (window := self.layout.window.get(f"{layer.name}.{kind}")) is not None:
                    mask[window.start : window.stop] = False
        return mask

    def _penalty(self) -> Penalty | None:
        l1, l2 = np.zeros(self.layout.size, self.dtype), np.zeros(self.layout.size, self.dtype)
        for layer in self.layers:
            window = self.layout.window[f"{layer.name}.weight"]
            l1[window.start : window.stop] = layer.l1
            l2[window.start : window.stop] = layer.l2
        return Penalty(l1, l2) if l1.any() or l2.any() else None

    def _stretch_of(self, layer: Layer) -> slice:
        """Where this layer's arrays lie in theta."""
        windows = [w for w in self.layout.windows if w.name.rsplit(".", 1)[0] == layer.name]
        return slice(windows[0].start, windows[-1].stop)


def evaluate(
    network: Network, theta: Array, X: Array, T: Array, *, loss: Loss, metrics: Sequence[Metric]
) -> dict[str, float]:
    """Mean loss and metrics of a network over samples X (N, I) with targets T (N, O), N >= 1."""
    tally = Tally(metrics, network.outputs)
    sums = tally.zeros()
    for X_block, T_block in zip(_blocks(X), _blocks(T), strict=True):
        seen = network.forward(theta, X_block)
        total = float(seen.losses(loss, T_block).sum(dtype=np.float64))
        tally.add(sums, total, seen.output, T_block)
    return tally.read(sums, len(X))


def _extra_arrays(layer: Layer) -> dict[str, float]:
    """What a layer has beside weights and biases -> what each entry starts at."""
    extra = dict(layer.normalization.arrays) if layer.normalization is not None else {}
    for name, start in layer.activation.learned.items():
        extra[name] = getattr(layer.activation, start)
    return extra


def _blocks(X: Array) -> list[Array]:
    return [X[start : start + ROWS_AT_ONCE] for start in range(0, len(X), ROWS_AT_ONCE)]
