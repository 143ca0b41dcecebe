"""The online kernel written out for one shape: no loop over layers, vectors stay in registers.

The marked lines of loops/online.py, which learn from one sample, are run once with the network's
real tables and with arrays that only note what is loaded, computed and stored. What they noted is
the same arithmetic in the same order, and so the same bits, without a loop, a table or a look at
memory: weights are loaded when a call begins and stored after each epoch.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backpropd.engine.kernels import packing as packing_columns
from backpropd.engine.kernels.code import literal
from backpropd.engine.kernels.generated import loop, words
from backpropd.engine.kernels.packing import AT, PAD, Packing
from backpropd.engine.kernels.symbols import Untraceable
from backpropd.engine.network import Network

MOST_STEPS = 600  # instructions of a sample: beyond, loops cost nothing and compilers much
FEWEST_LANES = 4
CARRIED = ("theta", "slots")  # what one sample leaves behind for the next one
WITHIN = ("z", "y", "d", "kept", "scratch")  # what is forgotten after each sample
FIXED = ("p", "mask", "l1", "l2")  # what no call changes
ARRAYS = (*CARRIED, *WITHIN, *FIXED, "X", "T", "c", "weights", "outputs")

# Marks in loops/online.py.
ENTRY = "@entry"
BEGIN, END = "            # unrolled: begin\n", "            # unrolled: end\n"
LOADS, STORES = "    # unrolled: loads\n", "        # unrolled: stores\n"


@dataclass(frozen=True, slots=True)
class Place:
    """An index that is known in part: a variable times a number, and a number."""

    variable: str
    times: int = 1
    plus: int = 0

    def __mul__(self, by: int) -> Place:
        return Place(self.variable, self.times * by, self.plus * by)

    def __add__(self, by: int) -> Place:
        return Place(self.variable, self.times, self.plus + by)

    def __str__(self) -> str:
        return f"{self.variable} * {self.times} + {self.plus}"


@dataclass(frozen=True, slots=True)
class Vector:
    """A variable of the written code, and where in memory the same numbers lie, if anywhere."""

    name: str
    array: str = ""
    at: Any = None


class Cells:
    """An array of which is known what lies where."""

    def __init__(self, name: str) -> None:
        self.name, self.size = name, 0
        self.values: dict[int, Vector] = {}

    def __getitem__(self, key: Any) -> Any:
        raise Untraceable("a number of an update that only training knows")


class Recorder:
    """Words that write down what they would do."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.most = MOST_STEPS if lanes > 1 else 16 * MOST_STEPS  # checked builds have one lane
        self.before: list[str] = []  # lines ahead of all samples
        self.lines: list[str] = []  # lines of a sample, so far
        self.known: dict[Any, Vector] = {}
        self.first: dict[tuple[str, int], Vector] = {}  # carried vectors, as a sample finds them
        self.steps = 0

    def words(self) -> dict[str, Any]:
        """Every word of a generated module, by name."""
        found: dict[str, Any] = {word: self._operation(word) for word in words(self.lanes)}
        found |= {"load": self.load, "load_fixed": self.load, "store": self.store}
        found |= {
            "spread": self.spread,
            "splat": self.splat,
            "fixed": lambda table, i: int(table[i]),
        }
        return found

    def take(self) -> list[str]:
        """The lines since the last call."""
        lines, self.lines = self.lines, []
        return lines

    def changed(self, arrays: Iterable[Cells]) -> dict[str, str]:
        """The carried vectors that a sample has moved, and what they are after it."""
        found = {
            f"{cells.name}_{at}": value.name
            for cells in arrays
            for at, value in cells.values.items()
            if value != self.first.get((cells.name, at))
        }
        if found.keys() & set(found.values()):
            raise Untraceable("vectors that take each other's places")
        return found

    def _operation(self, word: str) -> Any:
        return lambda *args: self._named((word, *(arg.name for arg in args)))

    def _named(self, key: tuple[str, ...], lines: list[str] | None = None) -> Vector:
        """The variable of an operation, which is written once."""
        if key not in self.known:
            self.steps += 1
            if self.steps > self.most:
                raise Untraceable("a network too large to be written out")
            name = f"x{len(self.known)}"
            where = self.lines if lines is None else lines
            where.append(f"{name} = {key[0]}({', '.join(key[1:])})")
            self.known[key] = Vector(name)
        return self.known[key]

    def splat(self, value: Any) -> Vector:
        """The same number in all lanes."""
        if isinstance(value, Vector):
            return self._named(("splat", value.name))
        return Vector(f"splat({literal(float(value))})")

    def load(self, array: Any, at: Any) -> Vector:
        """What lies there: a variable where that is known."""
        if array.name in CARRIED + WITHIN:
            if at not in array.values:
                if array.name in WITHIN:
                    raise Untraceable("what an earlier sample left behind")
                name = f"{array.name}_{at}"
                self.before.append(f"{name} = load({array.name}, {at})")
                array.values[at] = self.first[array.name, at] = Vector(name)
            return array.values[at]
        fixed = array.name in FIXED
        key = ("load_fixed" if fixed else "load", array.name, str(at))
        found = self._named(key, self.before if fixed else None)
        return Vector(found.name, array.name, at)

    def store(self, array: Any, at: Any, value: Vector) -> None:
        """Remember it; what others read is stored at once."""
        if array.name in CARRIED + WITHIN:
            array.values[at] = value
        else:
            self.lines.append(f"store({array.name}, {at}, {value.name})")

    def spread(self, array: Any, at: Any) -> Vector:
        """One number in all lanes: from a register, else from memory."""
        if array.name not in CARRIED + WITHIN:
            return self._named(("spread", array.name, str(at)))
        lane = at % self.lanes
        whole = self.load(array, at - lane)
        if whole.array:
            return self._named(("spread", whole.array, str(whole.at + lane)))
        return self._named((f"lane_{lane}", whole.name))


def fewest_lanes(network: Network, most: int) -> int:
    """How many lanes serve: where one short vector holds every layer, sums stay what they were."""
    widest = max(network.inputs, *(layer.units for layer in network.layers))
    lanes = most
    while lanes > FEWEST_LANES and lanes // 2 >= widest:
        lanes //= 2
    return lanes


def unrolled(functions: str, packing: Packing, constants: dict[str, Any]) -> str:
    """loops/online.py with its samples written out for this network; raises Untraceable."""
    if constants["HAS_DROPOUT"]:
        raise Untraceable("chance within a sample")
    definitions, kernel = loop("online").split(ENTRY)
    recorder = Recorder(packing.lanes)
    names = _names(recorder, packing, constants)
    exec("\n".join([functions, loop("rows"), definitions]), names)  # noqa: S102
    head, forward, between, backward, tail = _parts(kernel)
    exec(forward, names)  # our own text  # noqa: S102
    ahead = [*recorder.take(), f"error = {names['error'].name}"]
    exec(backward, names)  # noqa: S102
    changed = recorder.changed(names[name] for name in CARRIED)
    behind = recorder.take() + [f"{place} = {value}" for place, value in changed.items()]
    stores = [f"store({place.replace('_', ', ')}, {place})" for place in changed]
    return "".join(
        [
            ENTRY,
            head.replace(LOADS, _indented(recorder.before, 1)),
            _indented(ahead, 3),
            between,
            _indented(behind, 3),
            tail.replace(STORES, _indented(stores, 2)),
        ]
    )


def _names(recorder: Recorder, packing: Packing, constants: dict[str, Any]) -> dict[str, Any]:
    """What the lines that are recorded speak of."""
    arrays = {name: Cells(name) for name in ARRAYS}
    arrays["theta"].size = packing.size
    last = packing.layers[-1]
    return {
        **vars(packing_columns),
        **constants,
        **recorder.words(),
        **arrays,
        "LANES": packing.lanes,
        "INFINITY": math.inf,
        "inlined": lambda function: function,
        "o": arrays["y"],
        "layers": packing.layers.ravel(),
        "sources": packing.sources.ravel(),
        "sample": Place("sample"),
        "place": Place("place"),
        "width": int(packing.layers[0, PAD]),
        "at": int(last[AT]),
        "pad": int(last[PAD]),
    }


def _parts(kernel: str) -> list[str]:
    """The kernel's text around and within its two marked stretches, these to be run as they are."""
    parts = kernel.replace(END, BEGIN).split(BEGIN)
    return [textwrap.dedent(part) if k in (1, 3) else part for k, part in enumerate(parts)]


def _indented(lines: list[str], depth: int) -> str:
    return "".join(f"{'    ' * depth}{line}\n" for line in lines)
