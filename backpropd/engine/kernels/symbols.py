"""Runs the parts' own definitions on symbols, and so learns what they compute.

An activation, a loss or an optimizer is written once, with NumPy. Called with symbols in the place
of arrays the same code leaves behind a graph of operations, from which `code` writes machine code.
A setting is a symbol that knows its value: where a definition asks `if self.momentum`, the value
answers. What is known only while training runs, as the number of the step, has none: there both
answers are tried, and both are compiled.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from backpropd.engine.parts import Part

# What is the same for all elements; one number for each row (or network); one for each element.
SCALAR, ROW, VECTOR = range(3)

UNARY: tuple[str, ...] = (
    "negative",
    "absolute",
    "sqrt",
    "exp",
    "expm1",
    "log",
    "log1p",
    "tanh",
    "sin",
    "cos",
)
UNARY += ("arctan", "erf", "logical_not")
BINARY: tuple[str, ...] = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "maximum",
    "minimum",
    "less",
)
BINARY += ("less_equal", "equal", "not_equal", "logical_and", "logical_or")
TRUTHS = ("less", "less_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_not")
OTHER_WAY_ROUND = {"greater": "less", "greater_equal": "less_equal"}
ALSO_CALLED = {
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "invert": "logical_not",
    "fabs": "absolute",
    "fmax": "maximum",
    "fmin": "minimum",
    "true_divide": "divide",
}


class Untraceable(Exception):
    """A definition does what no kernel can."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph; its arguments come before it."""

    op: str  # an operation, "total" or "largest" of a row, "leaf" or "constant"
    args: tuple[Any, ...]  # nodes' numbers; of a leaf its name, of a constant its value
    kind: int
    truth: bool
    value: Any  # where it depends on settings alone
    fixed: bool  # whether it does: then `value` is what it is


class Graph:
    """All operations of a kernel's parts, each once."""

    def __init__(self, outputs: int) -> None:
        """For a network of so many outputs."""
        self.nodes: list[Node] = []
        self._number: dict[tuple[Any, ...], int] = {}
        self.outputs = self.setting("outputs", float(outputs))
        self._answers: list[bool] = []  # to questions that only training itself could answer
        self.asked: list[tuple[int, bool]] = []

    def leaf(self, name: str, kind: int) -> Symbol:
        """Something that is given while training runs."""
        return Symbol(self, self._add("leaf", (name,), kind=kind))

    def setting(self, name: str, value: Any) -> Symbol:
        """A number that is known now, and may be another one in the next run."""
        return Symbol(self, self._add("leaf", (name,), kind=SCALAR, value=value, fixed=True))

    def number(self, what: Any) -> int:
        """The node of a symbol or plain number."""
        if isinstance(what, Symbol):
            return what.node
        value = np.asarray(what)
        if value.ndim or value.dtype.kind not in "bif":
            raise Untraceable(f"an array of its own ({value.dtype}, {value.shape})")
        plain = value.item()
        truth = isinstance(plain, bool)
        key = (float(plain).hex(), truth)
        return self._add("constant", key, kind=SCALAR, value=plain, fixed=True, truth=truth)

    def apply(self, op: str, *operands: Any) -> Symbol:
        """The symbol of an operation on these."""
        args = tuple(self.number(each) for each in operands)
        nodes = [self.nodes[arg] for arg in args]
        fixed, value = all(node.fixed for node in nodes), None
        if fixed:
            with np.errstate(all="ignore"):
                value = _VALUES[op](*(node.value for node in nodes))
        kind = max(node.kind for node in nodes)
        truth = op in TRUTHS or (op == "where" and nodes[1].truth)
        return Symbol(self, self._add(op, args, kind=kind, truth=truth, value=value, fixed=fixed))

    def reduce(self, op: str, of: Symbol) -> Symbol:
        """The sum or the largest of each row."""
        if self.nodes[of.node].kind != VECTOR:
            raise Untraceable("a sum of what is no row")
        return Symbol(self, self._add(op, (of.node,), kind=ROW))

    def ask(self, node: int) -> bool:
        """What `if` is told: what settings say; else each answer in its turn, see `explore`."""
        if self.nodes[node].fixed:
            return bool(self.nodes[node].value)
        if self.nodes[node].kind != SCALAR:
            raise Untraceable("an `if` on an array")
        for known, answer in self.asked:
            if known == node:
                return answer
        answer = self._answers[len(self.asked)] if len(self.asked) < len(self._answers) else True
        self.asked.append((node, answer))
        return answer

    def explore(self, run: Callable[[], Any]) -> list[tuple[list[tuple[int, bool]], Any]]:
        """Every way through `run`: the answers that lead there, and what it returned."""
        ways, self._answers = [], []
        while True:
            self.asked = []
            found = run()
            ways.append((self.asked, found))
            answers = [answer for _, answer in self.asked]
            while answers and not answers[-1]:
                answers.pop()
            if not answers:
                return ways
            self._answers = [*answers[:-1], False]

    def _add(
        self,
        op: str,
        args: tuple[Any, ...],
        *,
        kind: int,
        truth: bool = False,
        value: Any = None,
        fixed: bool = False,
    ) -> int:
        key = (op, args)
        if key not in self._number:
            self._number[key] = len(self.nodes)
            self.nodes.append(Node(op, args, kind, truth, value, fixed))
        return self._number[key]


class Symbol(NDArrayOperatorsMixin):
    """Stands for an array or a number of which only its origin is known."""

    def __init__(self, graph: Graph, node: int) -> None:
        self.graph, self.node = graph, node

    dtype = np.dtype(np.float64)  # what a definition casts to changes nothing in a graph

    @property
    def shape(self) -> tuple[Any, ...]:
        """(samples, outputs), the second of them a symbol too."""
        return (None, self.graph.outputs)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__
        out = options.pop("out", None)
        if (
            method != "__call__"
            or options.keys() - {"where"}
            or options.get("where", True) is not True
        ):
            raise Untraceable(f"{name}.{method}")
        result = self._applied(name, inputs)
        if out is not None:
            (target,) = out
            target.node = result.node
            return target
        return result

    def _applied(self, name: str, inputs: tuple[Any, ...]) -> Symbol:  # noqa: PLR0911 - a table
        graph = self.graph
        if name in OTHER_WAY_ROUND:
            name, inputs = OTHER_WAY_ROUND[name], inputs[::-1]
        name = ALSO_CALLED.get(name, name).removesuffix(" (vectorized)")
        if name == "positive":
            return Symbol(graph, graph.number(inputs[0]))
        if name == "square":
            return graph.apply("multiply", inputs[0], inputs[0])
        if name == "sign":
            x = inputs[0]
            below = graph.apply("where", graph.apply("less", x, 0.0), -1.0, x)
            return graph.apply("where", graph.apply("less", 0.0, x), 1.0, below)
        if name == "power" and not isinstance(inputs[1], Symbol) and inputs[1] in (2, 3, 0.5):
            x = inputs[0]
            if inputs[1] == 0.5:
                return graph.apply("sqrt", x)
            squared = graph.apply("multiply", x, x)
            return squared if inputs[1] == 2 else graph.apply("multiply", squared, x)
        if name == "clip":
            x, low, high = inputs
            return graph.apply("minimum", graph.apply("maximum", x, low), high)
        if name not in UNARY + BINARY:
            raise Untraceable(f"the function {name}")
        return graph.apply(name, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name, graph = function.__name__, self.graph
        if name == "where" and len(args) == 3:
            return graph.apply("where", *args)
        if name == "clip":
            result, out = self._applied("clip", args), options.get("out")
            if out is None:
                return result
            out.node = result.node
            return out
        if name in ("zeros_like", "ones_like"):
            return Symbol(graph, graph.number(float(name == "ones_like")))
        if name == "norm" and options == {"axis": -1, "keepdims": True}:
            return graph.apply("sqrt", (args[0] * args[0]).sum(axis=-1))
        raise Untraceable(f"the function {name}")

    def sum(self, axis: int, keepdims: bool = False) -> Symbol:
        """Over the outputs of each sample."""
        if axis != -1:
            raise Untraceable("a sum over samples")
        return self.graph.reduce("total", self)

    def max(self, axis: int, keepdims: bool = False) -> Symbol:
        """Over the outputs of each sample."""
        if axis != -1:
            raise Untraceable("a maximum over samples")
        return self.graph.reduce("largest", self)

    def astype(self, dtype: Any) -> Symbol:
        """Itself: a truth is 1 or 0 where it is computed with."""
        return self * 1.0 if self.graph.nodes[self.node].truth else self

    def root(self) -> Symbol:
        """Its square root."""
        return self.graph.apply("sqrt", self)

    def __getitem__(self, key: Any) -> Symbol:
        if isinstance(key, slice):
            return self
        raise Untraceable("an element of an array")

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            self.node = self.graph.number(value)
        elif isinstance(key, Symbol):
            self.node = self.graph.apply("where", key, value, self).node
        else:
            raise Untraceable("an element of an array")

    def __bool__(self) -> bool:
        return self.graph.ask(self.node)

    def __float__(self) -> float:
        if not self.graph.nodes[self.node].fixed:
            raise Untraceable("a plain number of what only training knows")
        return float(self.graph.nodes[self.node].value)

    def __iter__(self) -> Iterator[Any]:
        raise Untraceable("the elements of an array")

    __hash__ = None  # type: ignore[assignment]


def with_symbols(part: Part, graph: Graph, prefix: str) -> Any:
    """The part, with symbols as its real settings."""
    changes = {
        each.name: graph.setting(f"{prefix}.{each.name}", getattr(part, each.name))
        for each in type(part).settings()
        if each.kind is float and not each.many
    }
    return dataclasses.replace(part, **changes)  # type: ignore[type-var]


def _where(condition: Any, a: Any, b: Any) -> Any:
    return a if condition else b


def _numpys(name: str) -> Callable[..., Any]:
    of = getattr(np, name)
    return lambda *values: of(*values).item()


_VALUES: dict[str, Callable[..., Any]] = {
    name: _numpys(name) for name in UNARY + BINARY if name != "erf"
} | {
    "where": _where,
    "erf": math.erf,
    # As the definitions compute with Python's own numbers.
    "power": operator.pow,
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
}
