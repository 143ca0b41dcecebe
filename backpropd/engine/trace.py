"""One training step in full: every number of a textbook's worked example, under its name.

Computed unit by unit and weight by weight from the formulas, not by the matrix code of network.py,
so that each is a check of the other.

Units are i1, i2, ... for inputs and o1, o2, ... for outputs; hidden ones are h1, h2, ..., or
h1_1, h1_2, h2_1, ... where there are several hidden layers. Weights are w1, w2, ... through all
layers, row by row, as Mazur counts them; b1_h1 is the bias of h1, in layer 1. A plus marks a value
after the update. Connections that share one weight have one symbol, a shared bias is b1.

It is a step of gradient descent on the loss alone: penalties, momentum and the like are left out,
as are noise and dropout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from backpropd.engine.arrays import Array
from backpropd.engine.losses import Loss
from backpropd.engine.network import INPUTS, Layer, Network


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the worked example."""

    symbol: str
    value: float
    phase: str  # forward, error, backward, update
    layer: str
    unit: str
    formula: str  # in symbols
    meaning: str


@dataclass(slots=True)
class Trace:
    """All lines, in the order in which a person would write them."""

    steps: list[Step] = field(default_factory=list)
    gradient: dict[str, float] = field(default_factory=dict)  # w1: dE_total/dw1
    bias_gradient: dict[str, float] = field(default_factory=dict)  # b1_h1: ..., also if frozen
    updated_weights: dict[str, float] = field(default_factory=dict)  # w1: w1+
    updated_biases: dict[str, float] = field(default_factory=dict)  # h1: b1_h1+
    outputs: list[float] = field(default_factory=list)
    outputs_after: list[float] = field(default_factory=list)

    @property
    def values(self) -> dict[str, float]:
        """Every number by its symbol."""
        return {step.symbol: step.value for step in self.steps}


def trace_step(
    network: Network,
    theta: Array,
    x: Array,
    t: Array,
    *,
    loss: Loss,
    learning_rate: float,
    update_order: str,
) -> Trace:
    """One step of gradient descent on one sample x (I,), t (O,), from theta (P,).

    With update_order "layerwise" the deltas of a layer are computed from weights above it that
    have already moved, as in the program behind Mazur's article.
    """
    return _Tracer(network, theta, x, t, loss, learning_rate, update_order == "layerwise").trace()


class _Tracer:
    """Writes the lines down; holds what the formulas name."""

    def __init__(
        self,
        network: Network,
        theta: Array,
        x: Array,
        t: Array,
        loss: Loss,
        learning_rate: float,
        layerwise: bool,
    ) -> None:
        self.network, self.loss, self.layerwise = network, loss, layerwise
        self.learning_rate = learning_rate
        self.t = t
        self.out = Trace()
        self.units = _unit_symbols(network)
        self.values: dict[str, float] = {}
        views = network.layout.views(theta)
        # By unit, what feeds it: (source unit, weight symbol, 1 or -1 where it is the opposite).
        self.weights = dict(self._weight_symbols(theta))
        self.biases = {
            unit: (
                f"b{number}" if layer.share_bias else f"b{number}_{unit}",
                float(views[f"{layer.name}.bias"][row]),
            )
            for number, layer in enumerate(network.layers, start=1)
            if layer.use_bias
            for row, unit in enumerate(self.units[layer.name])
        }
        for unit, value in zip(self.units[INPUTS], x.tolist(), strict=True):
            self._write(f"out_{unit}", value, "forward", INPUTS, unit, unit, "an input")

    def trace(self) -> Trace:
        """Forward, error, backward and update, and the error that then remains."""
        for layer in self.network.order:
            self._forward(layer)
        self._errors()
        for layer in reversed(self.network.order):
            self._deltas(layer)
            self._gradients(layer)
            if self.layerwise:
                self._update(layer)
        if not self.layerwise:
            for layer in self.network.layers:
                self._update(layer)
        self._error_after()
        self._number_in_order()
        return self.out

    def _forward(self, layer: Layer) -> None:
        units = self.units[layer.name]
        for unit in units:
            terms = [f"{_signed(w, sign)}*out_{source}" for source, w, sign in self.weights[unit]]
            net = sum(
                (
                    sign * self.values[symbol] * self.values[f"out_{source}"]
                    for source, symbol, sign in self.weights[unit]
                ),
                start=0.0,
            )
            if unit in self.biases:
                symbol, bias = self.biases[unit]
                net, terms = net + bias, [*terms, symbol]
                self._write(symbol, bias, "forward", layer.name, unit, symbol, "the bias")
            formula = " + ".join(terms)
            self._write(f"net_{unit}", net, "forward", layer.name, unit, formula, "net input")
        activation = layer.activation
        Y = activation.forward(self._vector("net", units))
        for unit, y in zip(units, Y.tolist(), strict=True):
            formula = f"{activation.name}(net_{unit}) = {activation.formula}"
            self._write(f"out_{unit}", y, "forward", layer.name, unit, formula, "output")

    def _errors(self) -> None:
        layer = self.network.output_layer
        units = self.units[layer.name]
        for unit, target in zip(units, self.t.tolist(), strict=True):
            self._write(f"target_{unit}", target, "error", layer.name, unit, "given", "target")
        Z, Y = self._vector("net", units), self._vector("out", units)
        logits = layer.activation.logit_slope * Z
        terms = self.loss.terms(logits[None], Y[None], self.t[None])[0].tolist()
        for unit, term in zip(units, terms, strict=True):
            formula = f"{unit}'s share of {self.loss.formula}"
            self._write(f"E_{unit}", term, "error", layer.name, unit, formula, "error of an output")
        formula = " + ".join(f"E_{unit}" for unit in units)
        self._write("E_total", sum(terms), "error", layer.name, "", formula, "total error")
        self.out.outputs = Y.tolist()

    def _deltas(self, layer: Layer) -> None:
        units = self.units[layer.name]
        activation = layer.activation
        is_output = layer is self.network.output_layer
        dE_dY = self._output_slopes(units) if is_output else self._hidden_slopes(layer)
        Z, Y = self._vector("net", units), self._vector("out", units)
        # Column j: how every output changes with net input j.
        J = np.stack([activation.backward(row, Z, Y) for row in np.eye(len(units))])
        for k, by in enumerate(units):
            for j, unit in enumerate(units):
                if j == k or not activation.elementwise:
                    symbol, slope = f"dout_{by}_dnet_{unit}", float(J[k, j])
                    formula = f"{activation.name}': {activation.derivative}"
                    meaning = "how an output follows a net input"
                    self._write(symbol, slope, "backward", layer.name, unit, formula, meaning)
        fused = self.loss.fused_delta(Y, self.t) if is_output else None
        deltas = (dE_dY @ J if fused is None else activation.logit_slope * fused).tolist()
        for unit, delta in zip(units, deltas, strict=True):
            if fused is not None:
                formula = f"out_{unit} - target_{unit}, the factors' product in closed form"
            elif activation.elementwise:
                formula = f"dE_total_dout_{unit} * dout_{unit}_dnet_{unit}"
            else:
                formula = " + ".join(f"dE_total_dout_{k} * dout_{k}_dnet_{unit}" for k in units)
            meaning = "delta: how the error follows the net input"
            self._write(f"delta_{unit}", delta, "backward", layer.name, unit, formula, meaning)

    def _output_slopes(self, units: list[str]) -> Array:
        layer = self.network.output_layer
        slopes: Array = self.loss.gradient(self._vector("out", units)[None], self.t[None])[0]
        for unit, slope in zip(units, slopes.tolist(), strict=True):
            formula = f"d/dout_{unit} of {self.loss.formula}"
            meaning = "how the error follows an output"
            symbol = f"dE_total_dout_{unit}"
            self._write(symbol, slope, "backward", layer.name, unit, formula, meaning)
        return slopes

    def _hidden_slopes(self, layer: Layer) -> Array:
        """dE/dout of hidden units: the sum of delta times weight over the units that read them."""
        slopes = []
        plus = "+" if self.layerwise else ""  # the weights above have moved already
        for unit in self.units[layer.name]:
            total = 0.0
            terms: list[str] = []
            for reader, symbol, sign in self._readers(layer, unit):
                term = self.values[f"delta_{reader}"] * sign * self.values[symbol + plus]
                formula = f"delta_{reader} * {_signed(symbol, sign)}{plus}"
                meaning = f"what reaches {unit} through {reader}"
                name = f"dE_{reader}_dout_{unit}"
                self._write(name, term, "backward", layer.name, unit, formula, meaning)
                total, terms = total + term, [*terms, name]
            formula, meaning = " + ".join(terms) or "0", "how the error follows an output"
            symbol = f"dE_total_dout_{unit}"
            self._write(symbol, total, "backward", layer.name, unit, formula, meaning)
            slopes.append(total)
        return np.array(slopes)

    def _gradients(self, layer: Layer) -> None:
        for unit in self.units[layer.name]:
            fed: dict[str, list[tuple[str, int]]] = {}
            for source, symbol, sign in self.weights[unit]:
                fed.setdefault(symbol, []).append((source, sign))
            for symbol, sources in fed.items():
                formula = " + ".join(_signed(f"out_{source}", sign) for source, sign in sources)
                y = sum((sign * self.values[f"out_{source}"] for source, sign in sources), 0.0)
                name, meaning = f"dnet_{unit}_d{symbol}", "how a net input follows a weight"
                self._write(name, y, "backward", layer.name, unit, formula, meaning)
        for symbol, units in self._users(layer).items():
            terms = [f"delta_{unit} * dnet_{unit}_d{symbol}" for unit in units]
            formula, meaning = " + ".join(terms), "gradient of a weight"
            gradient = sum(
                (self.values[f"delta_{u}"] * self.values[f"dnet_{u}_d{symbol}"] for u in units),
                start=0.0,
            )
            name = f"dE_total_d{symbol}"
            self._write(name, gradient, "backward", layer.name, units[0], formula, meaning)
            self.out.gradient[symbol] = gradient
        for symbol, units in self._bias_users(layer).items():
            formula = " + ".join(f"delta_{unit}" for unit in units)
            meaning = "gradient of a bias, whose input is 1"
            gradient = sum((self.values[f"delta_{unit}"] for unit in units), start=0.0)
            name = f"dE_total_d{symbol}"
            self._write(name, gradient, "backward", layer.name, units[0], formula, meaning)
            self.out.bias_gradient[symbol] = gradient

    def _users(self, layer: Layer) -> dict[str, list[str]]:
        """Weight symbol -> the units it feeds."""
        users: dict[str, list[str]] = {}
        for unit in self.units[layer.name]:
            for symbol in dict.fromkeys(symbol for _, symbol, _ in self.weights[unit]):
                users.setdefault(symbol, []).append(unit)
        return users

    def _bias_users(self, layer: Layer) -> dict[str, list[str]]:
        users: dict[str, list[str]] = {}
        for unit in self.units[layer.name]:
            if unit in self.biases:
                users.setdefault(self.biases[unit][0], []).append(unit)
        return users

    def _update(self, layer: Layer) -> None:
        for symbol, units in self._users(layer).items():
            self._move(layer, units[0], symbol, layer.train_weights)
        for symbol, units in self._bias_users(layer).items():
            self._move(layer, units[0], symbol, layer.train_biases)

    def _move(self, layer: Layer, unit: str, symbol: str, trained: bool) -> None:
        old = self.values[symbol]
        new = old - self.learning_rate * self.values[f"dE_total_d{symbol}"] if trained else old
        formula = f"{symbol} - learning_rate * dE_total_d{symbol}" if trained else symbol
        meaning = "after the update" if trained else "frozen, so unchanged"
        self._write(f"{symbol}+", new, "update", layer.name, unit, formula, meaning)

    def _error_after(self) -> None:
        """The error that the moved weights would make on the same sample."""
        layer = self.network.output_layer
        theta = np.array([self.values[f"{symbol}+"] for symbol in self._layout_symbols()])
        x = self._vector("out", self.units[INPUTS])
        seen = self.network.forward(theta, x[None])
        self.out.outputs_after = seen.output[0].tolist()
        error = float(seen.losses(self.loss, self.t[None])[0])
        formula, meaning = "E_total, from the updated weights", "total error after the step"
        self._write("E_total+", error, "update", layer.name, "", formula, meaning)

    def _number_in_order(self) -> None:
        """From the order in which they were found, output layer first, to w1, w2, ..."""
        out, symbols = self.out, list(self._layout_symbols())
        out.gradient = {s: out.gradient[s] for s in symbols if s in out.gradient}
        out.bias_gradient = {s: out.bias_gradient[s] for s in symbols if s in out.bias_gradient}
        out.updated_weights = {s: self.values[f"{s}+"] for s in out.gradient}
        out.updated_biases = {u: self.values[f"{s}+"] for u, (s, _) in self.biases.items()}

    def _layout_symbols(self) -> Iterator[str]:
        """Symbols in the order of theta."""
        for layer in self.network.layers:
            window = self.network.layout.window[f"{layer.name}.weight"]
            first = self.first_weight[layer.name]
            yield from (f"w{first + k}" for k in range(window.stop - window.start))
            yield from self._bias_users(layer)

    def _weight_symbols(self, theta: Array) -> Iterator[tuple[str, list[tuple[str, str, int]]]]:
        """For each unit, (source unit, weight symbol, sign) for everything that feeds it."""
        number = 1
        self.first_weight: dict[str, int] = {}
        for layer in self.network.layers:
            self.first_weight[layer.name] = number
            sources = [unit for source in layer.sources for unit in self.units[source]]
            units = self.units[layer.name]
            window = self.network.layout.window[f"{layer.name}.weight"]
            stretch = theta[window.start : window.stop].tolist()
            ties = window.ties
            if ties is None:
                ties = np.arange(1, len(stretch) + 1).reshape(window.shape)
            written: set[str] = set()
            for unit, row in zip(units, ties.tolist(), strict=True):
                fed = []
                for source, tie in zip(sources, row, strict=True):
                    if tie == 0:
                        continue  # no connection
                    symbol, meaning = f"w{number + abs(tie) - 1}", f"weight from {source} to {unit}"
                    if symbol not in written:
                        value = stretch[abs(tie) - 1]
                        self._write(symbol, value, "forward", layer.name, unit, symbol, meaning)
                        written.add(symbol)
                    fed.append((source, symbol, 1 if tie > 0 else -1))
                yield unit, fed
            number += len(stretch)

    def _readers(self, layer: Layer, unit: str) -> Iterator[tuple[str, str, int]]:
        """(unit above, weight symbol, sign) for everything that this unit feeds."""
        for above in self.network.layers:
            if layer.name in above.sources:
                for reader in self.units[above.name]:
                    for source, symbol, sign in self.weights[reader]:
                        if source == unit:
                            yield reader, symbol, sign

    def _vector(self, kind: str, units: list[str]) -> Array:
        return np.array([self.values[f"{kind}_{unit}"] for unit in units])

    def _write(
        self, symbol: str, value: float, phase: str, layer: str, unit: str, formula: str, why: str
    ) -> None:
        if not isinstance(value, float) or math.isnan(value):
            value = float(value)
        self.values[symbol] = value
        self.out.steps.append(Step(symbol, value, phase, layer, unit, formula, why))


def _signed(symbol: str, sign: int) -> str:
    return symbol if sign > 0 else f"-{symbol}"


def fault_of_trace(network: Network) -> str | None:
    """Why a network can't be traced, as a sentence, or None."""
    for layer in network.layers:
        if layer.normalization is not None:
            return f"{layer.name} normalizes its net inputs, which one sample's step does not show"
        if layer.activation.learned:
            return f"{layer.name}'s activation {layer.activation.name} learns numbers of its own"
    return None


def _unit_symbols(network: Network) -> dict[str, list[str]]:
    """The names of the units of every layer, and of the inputs."""
    hidden = network.layers[:-1]
    prefix = {INPUTS: ("i", network.inputs), network.output_layer.name: ("o", network.outputs)}
    for number, layer in enumerate(hidden, start=1):
        prefix[layer.name] = ("h" if len(hidden) == 1 else f"h{number}_", layer.units)
    return {
        name: [f"{letter}{unit}" for unit in range(1, width + 1)]
        for name, (letter, width) in prefix.items()
    }
