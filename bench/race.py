"""A race: everybody runs once a round, in turns, so that the machine's moods meet all alike."""

from __future__ import annotations

import contextlib
import math
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contestant import Contestant, Failed
from bench.data import task_of
from bench.task import write
from bench.workloads import OURS, PRODUCTS, Workload

# How far the losses of equal work may lie apart, after hundreds of updates in other orders of sums.
TOLERANCE = {"float64": 1e-6, "float32": 2e-2}


@dataclass(slots=True)
class Measured:
    """One contestant's rounds."""

    name: str
    seconds: list[float] = field(default_factory=list)  # each for the whole workload
    losses: list[float] = field(default_factory=list)  # the last is that of the epoch `epochs`
    epochs: int = 0
    note: str = ""
    missing: str | None = None  # why it did not race

    @property
    def median(self) -> float:
        """Of the seconds; NaN for who did not race."""
        return statistics.median(self.seconds) if self.seconds else math.nan

    def take(self, run: dict[str, Any], epochs: int) -> None:
        """One run of some of the workload's `epochs`."""
        self.seconds.append(run["seconds"] * epochs / run["epochs"])
        self.losses, self.epochs = run["losses"], run["epochs"]
        self.note = run["note"]


@dataclass(slots=True)
class Result:
    """A workload's race."""

    workload: Workload
    updates: int  # of the whole workload, over all its networks
    measured: dict[str, Measured]
    versions: dict[str, str]
    blas: list[str]

    @property
    def ours(self) -> Measured:
        return self.measured[OURS]

    def ratio(self, name: str) -> float:
        """How many times our seconds it takes; NaN for who did not race."""
        return self.measured[name].median / self.ours.median

    def losses(self, name: str) -> tuple[float, float] | None:
        """Its loss in the last epoch that it ran, and ours in the same; None of who has none."""
        each = self.measured[name]
        if not each.losses or len(self.ours.losses) < each.epochs:
            return None
        return each.losses[-1], self.ours.losses[each.epochs - 1]

    def unequal(self) -> dict[str, str]:
        """Whose loss is not ours, though it should be: name -> what was found."""
        found = {}
        for name in self.measured:
            if name in (OURS, PRODUCTS) or name in self.workload.differs:
                continue
            losses = self.losses(name)
            tolerance = TOLERANCE[self.workload.dtype]
            if losses is not None and not math.isclose(*losses, rel_tol=tolerance):
                found[name] = "loss {:.9g} where ours is {:.9g}".format(*losses)
        return found


def race(
    workload: Workload, rounds: int, missing: dict[str, str], tell: Callable[[str], None]
) -> Result:
    """Everybody's seconds for the whole workload; `missing` says who can't be had, and why."""
    task = task_of(workload)
    updates = task.networks * task.epochs * task.batches
    result = Result(workload, updates, {n: Measured(n) for n in workload.contestants}, {}, [])
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backpropd-bench-")))
        write(task, folder)
        racing = {
            name: stack.enter_context(Contestant(name, folder, workload.threads))
            for name in result.measured
            if name.split(" ")[0] not in missing
        }
        for name, measured in result.measured.items():
            try:
                if name not in racing:
                    raise Failed(missing[name.split(" ")[0]])
                hello = racing[name].ready()
                racing[name].run()  # the first one warms caches, and is not counted
            except Failed as fault:
                measured.missing = str(fault)
                racing.pop(name, None)
                tell(f"{workload.name}: {name} does not race: {fault}")
            else:
                result.versions |= hello["versions"]
                result.blas = hello["blas"] if name == OURS else result.blas
        names = list(racing)
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                result.measured[name].take(racing[name].run(), workload.epochs)
    return result
