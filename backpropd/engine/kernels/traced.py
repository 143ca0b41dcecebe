"""What a training's parts do, as functions in vectors: made from their definitions, never by hand.

Every kernel is written in terms of these functions: `forward` and `backward` of each activation,
`head` (the output layer with its loss), `measure` (the loss alone), `update` and `moments` of the
optimizer with its penalties, clipping and decay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backpropd.engine.activations import Activation
from backpropd.engine.kernels.code import Out, Writer, values_of
from backpropd.engine.kernels.symbols import (
    SCALAR,
    VECTOR,
    Graph,
    Symbol,
    Untraceable,
    with_symbols,
)
from backpropd.engine.optimizers import Moment, Rule
from backpropd.engine.regularizers import ClipGlobalNorm, ClipNorm, Penalty
from backpropd.engine.training import Training

ROW = "z, y, at, n, mask, m, scratch, p"
ROW_BACK = "d, z, y, at, n, mask, m, scratch, p"
HEAD = "z, y, at, d, t, target, n, mask, m, scratch, p"
UPDATE = "theta, slots, stride, at, g, l1, l2, p, c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """The functions, and the numbers that they take."""

    source: str
    activations: dict[str, int]  # layer -> code of its activation
    settings: list[float]  # p: a vector each
    plain: list[float]  # q: what `moments` takes
    moments: int  # c: how many vectors each update has


def trace(training: Training, *, across: bool) -> Traced:
    """Raises Untraceable where a definition does what no kernel can."""
    return _Tracing(training, across=across).result()


class _Tracing:
    def __init__(self, training: Training, *, across: bool) -> None:
        self.training = training
        self.network = training.network
        self.graph = Graph(self.network.outputs)
        self.writer = Writer(self.graph, across=across)
        self.functions: list[str] = []
        self.codes: dict[Activation, int] = {}

    def result(self) -> Traced:
        layers = {}
        for layer in self.network.order:
            layers[layer.name] = self._activation(layer.activation)
        self.functions.append(_choice("forward", ROW, len(self.codes)))
        self.functions.append(_choice("backward", ROW_BACK, len(self.codes)))
        self._head()
        self._update()
        self.functions.append(self.writer.moments("moments"))
        numbers = self.writer.numbers
        return Traced(
            source="\n\n".join(self.functions),
            activations=layers,
            settings=values_of(self.graph, numbers.settings),
            plain=values_of(self.graph, numbers.plain),
            moments=len(numbers.moments),
        )

    def _activation(self, activation: Activation) -> int:
        if activation in self.codes:
            return self.codes[activation]
        code = self.codes[activation] = len(self.codes)
        part = with_symbols(activation, self.graph, f"activation_{code}")
        Z, Y = self.graph.leaf("z", VECTOR), self.graph.leaf("y", VECTOR)
        dY = self.graph.leaf("d", VECTOR)
        loads = {Z.node: ("z", "at"), Y.node: ("y", "at"), dY.node: ("d", "at")}
        outs = [Out("y", "at", self._only(lambda: part.forward(Z)))]
        self.functions.append(self.writer.row(f"forward_{code}", ROW, loads, outs))
        back = [Out("d", "at", self._only(lambda: part.backward(dY, Z, Y)), guarded=True)]
        self.functions.append(self.writer.row(f"backward_{code}", ROW_BACK, loads, back))
        return code

    def _head(self) -> None:
        graph, layer = self.graph, self.network.output_layer
        activation = with_symbols(layer.activation, graph, "output")
        loss = with_symbols(self.training.loss, graph, "loss")
        Z, T = graph.leaf("z", VECTOR), graph.leaf("t", VECTOR)
        loads = {Z.node: ("z", "at"), T.node: ("t", "target")}

        def run() -> tuple[int, int, int]:
            Y = activation.forward(Z)
            slope = activation.logit_slope
            logits = Z if slope == 1 else Z * slope
            value = loss.value(logits, Y, T)
            delta = loss.deltas(activation, Z, Y, T)
            return graph.number(Y), graph.number(value), graph.number(delta)

        Y, value, delta = self._once(run)
        outs = [Out("y", "at", Y)]
        with_delta = [*outs, Out("d", "at", delta, guarded=True)]
        self.functions.append(self.writer.row("head", HEAD, loads, with_delta, returned=value))
        self.functions.append(self.writer.row("measure", HEAD, loads, outs, returned=value))

    def _update(self) -> None:
        """The whole way of a gradient to a step; a clip by norm comes between its two halves."""
        graph, training = self.graph, self.training
        optimizer = training.optimizer
        assert isinstance(optimizer, Rule)
        loads = {graph.leaf("theta", VECTOR).node: ("theta", "at")}
        loads |= {graph.leaf(name, VECTOR).node: (name, "at") for name in ("l1", "l2")}
        for k in range(optimizer.slots):
            loads[graph.leaf(f"slot_{k}", VECTOR).node] = ("slots", f"{k} * stride + at")
        given = {graph.leaf("g", VECTOR).node: "g"}
        by_norm = isinstance(training.clip, ClipNorm | ClipGlobalNorm)
        if by_norm:
            ways = graph.explore(self._penalized)
            self.functions.append(self.writer.elementwise("penalize", UPDATE, loads, given, ways))
        ways = graph.explore(lambda: self._stepped(whole=not by_norm))
        self.functions.append(self.writer.elementwise("update", UPDATE, loads, given, ways))

    def _penalized(self) -> Sequence[Out]:
        """The gradient with its penalties, back into the gradient's own array."""
        _, g = self._gradient()
        return [Out("slots", "at", g.node)]

    def _gradient(self) -> tuple[Symbol, Symbol]:
        graph = self.graph
        theta, g = graph.leaf("theta", VECTOR), graph.leaf("g", VECTOR)
        if self.network.penalty is not None:
            penalty: Any = Penalty(graph.leaf("l1", VECTOR), graph.leaf("l2", VECTOR))  # type: ignore[arg-type]
            penalty.add_gradient(theta, g, slice(None))
        return theta, g

    def _stepped(self, *, whole: bool) -> Sequence[Out]:
        graph, training = self.graph, self.training
        theta, g = (
            self._gradient()
            if whole
            else (
                graph.leaf("theta", VECTOR),
                graph.leaf("g", VECTOR),
            )
        )
        if whole and training.clip is not None:
            with_symbols(training.clip, graph, "clip").clip(g, ())
        assert isinstance(training.optimizer, Rule)
        optimizer = with_symbols(training.optimizer, graph, "optimizer")
        slots = [graph.leaf(f"slot_{k}", VECTOR) for k in range(training.optimizer.slots)]
        rate, step = graph.leaf("rate", SCALAR), graph.leaf("step", SCALAR)
        rose = graph.leaf("rose", SCALAR)
        before = [each.node for each in (theta, *slots)]
        at: Any = Moment(rate, step, rose)  # type: ignore[arg-type]
        optimizer.step(theta, g, slots, at, trainable=None)
        outs = [Out("theta", "at", theta.node)]
        outs += [Out("slots", f"{k} * stride + at", s.node) for k, s in enumerate(slots)]
        return [out for out, was in zip(outs, before, strict=True) if out.node != was]

    def _only(self, run: Callable[[], Any]) -> int:
        return int(self._once(lambda: self.graph.number(run())))

    def _once(self, run: Callable[[], Any]) -> Any:
        """The result of what asks nothing that only training knows."""
        ways = self.graph.explore(run)
        if len(ways) != 1:
            raise Untraceable("an activation or loss that depends on the step")
        return ways[0][1]


def _choice(name: str, signature: str, codes: int) -> str:
    """The function that leads to that of a code."""
    lines = []
    for code in range(codes):
        lines.append(f"    {'if' if code == 0 else 'elif'} code == {code}:")
        lines.append(f"        {name}_{code}({signature})")
    return f"@inlined\ndef {name}(code, {signature}):\n" + "\n".join(lines) + "\n"
