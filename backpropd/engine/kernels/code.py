"""Writes the graph of a kernel's parts as Python source in vectors, which Numba compiles.

Two forms come from one graph. In rows, the outputs of a sample lie side by side and a vector holds
several of them: sums go across lanes, and lanes beyond the last output are left out by a mask.
Across, each lane is a network of its own, and sums go from vector to vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backpropd.engine.kernels.symbols import BINARY, ROW, SCALAR, UNARY, VECTOR, Graph, Node

EXPENSIVE = ("exp", "expm1", "log", "log1p", "tanh", "divide", "sqrt", "power", "erf", "sin", "cos")
INDENT = "    "

_PLAIN = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "power": "{} ** {}",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "equal": "{} == {}",
    "not_equal": "{} != {}",
    "logical_and": "({} != 0) and ({} != 0)",
    "logical_or": "({} != 0) or ({} != 0)",
    "logical_not": "{} == 0",
    "negative": "-{}",
    "absolute": "abs({})",
    "maximum": "max({}, {})",
    "minimum": "min({}, {})",
    "sqrt": "np.sqrt({})",
    "exp": "math.exp({})",
    "log": "math.log({})",
    "where": "({1} if {0} else {2})",
}


@dataclass(frozen=True, slots=True)
class Out:
    """A node that is to be stored, and where; `guarded` lanes beyond the last output are 0."""

    array: str
    offset: str
    node: int
    guarded: bool = False


@dataclass(slots=True)
class Numbers:
    """What the written functions take beside arrays, and in which order it lies there."""

    settings: list[int] = field(default_factory=list)  # nodes: vector k of `p`
    moments: list[int] = field(default_factory=list)  # nodes: vector k of `c`, new for each update
    plain: list[int] = field(default_factory=list)  # nodes: number k of `q`, for `moments`

    def place(self, which: list[int], node: int) -> int:
        """The place of a node, which it gets where it has none."""
        if node not in which:
            which.append(node)
        return which.index(node)


class Writer:
    """Writes functions over one graph."""

    def __init__(self, graph: Graph, *, across: bool) -> None:
        self.graph, self.across = graph, across
        self.numbers = Numbers()

    def row(
        self,
        name: str,
        signature: str,
        loads: Mapping[int, tuple[str, str]],
        outs: Sequence[Out],
        *,
        returned: int | None = None,
    ) -> str:
        """A function of one row: loads its leaves, stores nodes, and returns one of the row.

        Each pass over the row ends in the sums that the next one needs.
        """
        wanted = [out.node for out in outs] + ([] if returned is None else [returned])
        stage = self._stages(wanted)
        last = max((stage[node] for node in wanted), default=0)
        body = _Body(self, loads)
        for number in range(last + 1):
            sums = [n for n in stage if self._is_sum(n) and stage[n] == number + 1]
            here = [out for out in outs if stage[out.node] == number]
            later = self._reused(stage, number) if number < last else []
            body.one_pass(sums, here, later)
        if returned is not None:
            body.lines.append(f"return {body.of(returned)}")
        elif not body.lines:
            body.lines.append("pass")
        return _function(name, signature, body.lines)

    def elementwise(
        self,
        name: str,
        signature: str,
        loads: Mapping[int, tuple[str, str]],
        given: Mapping[int, str],
        ways: Sequence[tuple[Sequence[tuple[int, bool]], Sequence[Out]]],
    ) -> str:
        """A function of one vector, along the way of the answers; across, of each lane's own."""
        if self.across:
            return _function(name, signature, self._blended(ways, loads, given))
        return _function(name, signature, self._ways(list(ways), 0, loads, given))

    def moments(self, name: str) -> str:
        """The function that finds each update's numbers: c from q, the rate, the step, ..."""
        lines: list[str] = []
        known: dict[int, str] = {}
        for place, node in enumerate(self.numbers.moments):
            found = self._plain(node, known, lines)
            lines.append(f"c[{place} * LANES + lane] = {found}")
        return _function(name, "q, c, rate, step, rose, lane", lines or ["pass"])

    def _ways(
        self,
        ways: list[tuple[Sequence[tuple[int, bool]], Sequence[Out]]],
        depth: int,
        loads: Mapping[int, tuple[str, str]],
        given: Mapping[int, str],
    ) -> list[str]:
        asked, outs = ways[0]
        if len(asked) == depth:
            body = _Body(self, loads, given)
            for out in outs:
                value = body.of(out.node)
                body.stores.append(f"store({out.array}, {out.offset}, {value})")
            return [*body.lines, *body.stores] or ["pass"]
        condition = asked[depth][0]
        place = self.numbers.place(self.numbers.moments, condition)
        lines = []
        for answer, sign in ((True, "!="), (False, "==")):
            chosen = [way for way in ways if way[0][depth] == (condition, answer)]
            if chosen:
                lines.append(f"if c[{place} * LANES] {sign} 0:")
                lines += [INDENT + line for line in self._ways(chosen, depth + 1, loads, given)]
        return lines

    def _blended(
        self,
        ways: Sequence[tuple[Sequence[tuple[int, bool]], Sequence[Out]]],
        loads: Mapping[int, tuple[str, str]],
        given: Mapping[int, str],
    ) -> list[str]:
        """All ways, and of each lane's results those that its own answers lead to."""
        body = _Body(self, loads, given)
        unchanged = {place: node for node, place in loads.items()}
        places = dict.fromkeys((out.array, out.offset) for _, outs in ways for out in outs)

        def value(left: list[Any], depth: int, place: tuple[str, str]) -> str:
            asked, outs = left[0]
            if len(asked) == depth:
                nodes = {(out.array, out.offset): out.node for out in outs}
                return body.of(nodes[place] if place in nodes else unchanged[place])
            condition = asked[depth][0]
            yes, no = (
                value(chosen, depth + 1, place) if chosen else ""
                for chosen in (
                    [way for way in left if way[0][depth] == (condition, answer)]
                    for answer in (True, False)
                )
            )
            if yes == no or not (yes and no):
                return yes or no
            number = self.numbers.place(self.numbers.moments, condition)
            return f"where(not_equal(load(c, {number} * LANES), splat(0.0)), {yes}, {no})"

        body.stores += [f"store({a}, {at}, {value(list(ways), 0, (a, at))})" for a, at in places]
        return [*body.lines, *body.stores] or ["pass"]

    def _plain(self, number: int, known: dict[int, str], lines: list[str]) -> str:
        node = self.graph.nodes[number]
        if node.op == "constant":
            return repr(float(node.value))
        if node.fixed:
            place = self.numbers.place(self.numbers.plain, number)
            return f"q[{place} * LANES + lane]"
        if node.op == "leaf":
            return str(node.args[0])
        if number not in known:
            args = [self._plain(arg, known, lines) for arg in node.args]
            lines.append(f"s{number} = {_PLAIN[node.op].format(*args)}")
            known[number] = f"s{number}"
        return known[number]

    def _is_sum(self, number: int) -> bool:
        return self.graph.nodes[number].op in ("total", "largest")

    def _stages(self, wanted: Iterable[int]) -> dict[int, int]:
        """Each needed node's pass: how many sums, one after the other, come before it."""
        stage: dict[int, int] = {}

        def visit(number: int) -> int:
            if number not in stage:
                node = self.graph.nodes[number]
                args = [] if node.op in ("leaf", "constant") else node.args
                before = max((visit(arg) for arg in args), default=0)
                stage[number] = before + self._is_sum(number)
            return stage[number]

        for number in wanted:
            visit(number)
        return dict(sorted(stage.items()))

    def _reused(self, stage: dict[int, int], number: int) -> list[int]:
        """What costs much in this pass and is needed again in a later one."""
        needed_by: dict[int, set[int]] = {}
        for user, its_pass in stage.items():
            node = self.graph.nodes[user]
            if node.op in ("leaf", "constant"):
                continue
            for arg in node.args:
                needed_by.setdefault(arg, set()).add(its_pass - self._is_sum(user))
        return [
            n
            for n, passes in needed_by.items()
            if stage[n] == number
            and self.graph.nodes[n].kind == VECTOR
            and self.graph.nodes[n].op in EXPENSIVE
            and max(passes) > number
        ]


class _Body:
    """The lines of one function, while they are written."""

    def __init__(
        self,
        writer: Writer,
        loads: Mapping[int, tuple[str, str]],
        given: Mapping[int, str] | None = None,
    ) -> None:
        self.writer, self.graph, self.loads = writer, writer.graph, loads
        self.lines: list[str] = []
        self.stores: list[str] = []
        self.outer: dict[int, str] = {}  # variables that stand outside the passes
        self.inner: dict[int, str] = dict(given or {})  # ... and of the pass at hand
        self.saved: dict[int, int] = {}  # nodes whose values lie in `scratch`
        self.in_pass = False
        self.block: list[str] = self.lines

    def one_pass(self, sums: list[int], outs: list[Out], later: list[int]) -> None:
        """A loop over the row: adds sums up, stores outputs, saves what a later pass needs."""
        self.block, self.inner, self.in_pass = [], {}, True
        masked = not self.writer.across and (sums or any(out.guarded for out in outs))
        start = {"total": "splat(0.0)", "largest": "splat(-INFINITY)"}
        for number in sums:
            self.lines.append(f"r{number} = {start[self.graph.nodes[number].op]}")
        if masked:
            self.block.append("real = less(splat(0.0), load_fixed(mask, m + b))")
        for number in sums:
            node = self.graph.nodes[number]
            value = self.of(node.args[0])
            if masked:
                value = f"where(real, {value}, {start[node.op]})"
            combine = "add" if node.op == "total" else "maximum"
            self.block.append(f"r{number} = {combine}(r{number}, {value})")
        for out in outs:
            value = self.of(out.node)
            if masked and out.guarded:
                value = f"where(real, {value}, splat(0.0))"
            self.block.append(f"store({out.array}, {out.offset} + b, {value})")
        for number in later:
            if number not in self.saved:
                self.saved[number] = len(self.saved)
                place = f"{self.saved[number]} * n + b"
                self.block.append(f"store(scratch, {place}, {self.of(number, fresh=True)})")
        if self.block:
            self.lines.append("for b in range(0, n, LANES):")
            self.lines += [INDENT + line for line in self.block]
        self.in_pass, self.block = False, self.lines
        for number in sums:
            op = self.graph.nodes[number].op
            if not self.writer.across:
                self.lines.append(f"r{number} = splat({op}(r{number}))")
            self.outer[number] = f"r{number}"

    def of(self, number: int, *, fresh: bool = False) -> str:  # noqa: PLR0911 - a table
        """The expression or variable that holds a node here."""
        node = self.graph.nodes[number]
        if number in self.outer:
            return self.outer[number]
        if number in self.inner:
            return self.inner[number]
        if node.kind == SCALAR:
            return self._scalar(number, node)
        if node.kind == ROW and node.op not in ("total", "largest") and self._ready(number):
            return self._row_value(number, node)
        if node.op == "leaf":
            array, offset = self.loads[number]
            within = f"{offset} + b" if self.in_pass else offset
            return self._named(number, f"load({array}, {within})")
        if number in self.saved and not fresh:
            return self._named(number, f"load(scratch, {self.saved[number]} * n + b)")
        return self._named(number, self._operation(node))

    def _ready(self, number: int) -> bool:
        node = self.graph.nodes[number]
        return all(
            arg in self.outer
            or self.graph.nodes[arg].kind == SCALAR
            or (self.graph.nodes[arg].op not in ("total", "largest", "leaf") and self._ready(arg))
            for arg in node.args
        )

    def _row_value(self, number: int, node: Node) -> str:
        """What is one for the whole row is computed once, before the loop."""
        block, self.block, inside, self.in_pass = self.block, self.lines, self.in_pass, False
        inner, self.inner = self.inner, {}
        expression = self._operation(node)
        self.lines.append(f"v{number} = {expression}")
        self.outer[number] = f"v{number}"
        self.block, self.in_pass, self.inner = block, inside, inner
        return f"v{number}"

    def _named(self, number: int, expression: str) -> str:
        self.block.append(f"t{number} = {expression}")
        self.inner[number] = f"t{number}"
        return f"t{number}"

    def _scalar(self, number: int, node: Node) -> str:
        numbers = self.writer.numbers
        if node.op == "constant":
            value = f"splat({literal(float(node.value))})"
        elif node.fixed:
            value = f"load_fixed(p, {numbers.place(numbers.settings, number)} * LANES)"
        else:
            value = f"load(c, {numbers.place(numbers.moments, number)} * LANES)"
        return f"not_equal({value}, splat(0.0))" if node.truth else value

    def _operation(self, node: Node) -> str:
        args = [self.of(arg) for arg in node.args]
        if node.op not in ("where", *UNARY, *BINARY):
            raise AssertionError(f"{node.op} is no operation")
        if node.op in ("add", "subtract", "multiply", "divide"):  # a truth counts as 1 or 0
            args = [self._as_number(arg, a) for arg, a in zip(node.args, args, strict=True)]
        return f"{node.op}({', '.join(args)})"

    def _as_number(self, number: int, expression: str) -> str:
        if self.graph.nodes[number].truth:
            return f"where({expression}, splat(1.0), splat(0.0))"
        return expression


def literal(value: float) -> str:
    """A number as a module's text has it."""
    if value in (float("inf"), float("-inf")):
        return "INFINITY" if value > 0 else "-INFINITY"
    return repr(value)


def _function(name: str, signature: str, lines: Sequence[str]) -> str:
    body = "\n".join(INDENT + line for line in lines)
    return f"@inlined\ndef {name}({signature}):\n{body}\n"


def values_of(graph: Graph, nodes: Sequence[int]) -> list[float]:
    """The values of settings' nodes, in this order."""
    found: list[Any] = [graph.nodes[node].value for node in nodes]
    return [float(value) for value in found]
