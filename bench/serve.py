"""The contestant's end of the line: runs when it is told to, and says how long that took.

The referee writes a line for each run; the answer is a line of JSON. What is not the contestant's
own goes to standard error, so that no library's chatter is taken for an answer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.task import Task, read


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run took: `seconds` for `epochs` of them all.

    `losses` are means over an epoch's samples, each before its update, as our history has them;
    a swarm's are its first network's. Ours are of every epoch, others' of the last one alone.
    """

    seconds: float
    epochs: float
    losses: list[float]
    note: str = ""


AT_LEAST_SECONDS = 0.1  # of a run: what is shorter is repeated


def repeated(once: Callable[[], Run]) -> Callable[[], Run]:
    """Runs again until the clock can be trusted; the mean of the seconds that each run counts."""

    def run() -> Run:
        runs = [once()]
        while sum(each.seconds for each in runs) < AT_LEAST_SECONDS:
            runs.append(once())
        return replace(runs[-1], seconds=sum(each.seconds for each in runs) / len(runs))

    return run


def serve(
    prepare: Callable[[Task], Callable[[], Run]], *packages: str, repeats: bool = False
) -> None:
    """Read the task's folder from the command line, then run for each line that comes.

    Who `repeats` by itself is not asked to again.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    prepared = prepare(read(Path(sys.argv[1])))
    run = prepared if repeats else repeated(prepared)
    _answer(answers, {"versions": {name: version(name) for name in packages}, "blas": _blas()})
    for _ in sys.stdin:
        _answer(answers, asdict(run()))


def _answer(where: Any, what: dict[str, Any]) -> None:
    where.write(json.dumps(what) + "\n")
    where.flush()


def _blas() -> list[str]:
    """Every BLAS that is loaded, with its kernels and its threads."""
    try:
        from threadpoolctl import threadpool_info  # noqa: PLC0415 - not every peer brings it
    except ImportError:
        return []
    return sorted(
        f"{lib['internal_api']} {lib['version']} {lib.get('architecture', '')}, "
        f"{lib['num_threads']} threads"
        for lib in threadpool_info()
        if lib["user_api"] == "blas"
    )
