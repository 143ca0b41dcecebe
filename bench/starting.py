"""How soon training begins in a process that has just been started, its kernel compiled before.

python -m bench.starting
"""

from __future__ import annotations

import re
import subprocess
import sys
import time

from bench.costs import Cost
from bench.environment import ROOT

# The example of the page, from its imports to trained weights.
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGE = ROOT / "docs" / "reference" / "kernels.md"
IN_A_CHILD = """
import time
from backpropd.engine.kernels import preload
preload()
began = time.perf_counter()
{program}
print(time.perf_counter() - began)
"""


def measured(rounds: int) -> list[Cost]:
    """A whole process, and a worker's child that has what its parent has loaded."""
    found = EXAMPLE.search(PAGE.read_text())
    assert found is not None
    program = found[1]
    whole, child = [], []
    _run(program)  # compiles, if need be
    for _ in range(rounds):
        began = time.perf_counter()
        _run(program)
        whole.append(time.perf_counter() - began)
        child.append(float(_run(IN_A_CHILD.format(program=program)).split()[-1]))
    return [
        Cost(
            name="fresh process",
            title="a fresh Python trains Mazur's 10,000 updates, from its start to its end",
            unit="s",
            at_most=0.5,
            values=whole,
        ),
        Cost(
            name="fresh child",
            title="the same in a worker's child, whose parent has loaded what kernels need",
            unit="s",
            at_most=0.5,
            values=child,
        ),
    ]


def _run(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    for cost in measured(5):
        print(f"{cost.title}: {cost.value:.3g} {cost.unit}")
