"""Which code trains a job: nobody waits for a compiler longer than that saves, and a job ends with
the code it began with.

A kernel that is not compiled yet is compiled apart. A job that is over soon takes the plain path at
once, and the kernel is there for the next one; one that would be at it for much longer than a
compiler waits, and so does one that asked for machine code or was resumed from it. What was chosen
first stands in the job's lineage: later attempts keep to it, as other code would give other last
bits.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backpropd.engine import Data, Training
from backpropd.engine.kernels import Choice, choose

PLAIN = "plain"
# The plain path takes so long for an update whatever the shape, in the calls of NumPy alone.
PLAIN_UPDATE_SECONDS = 50e-6
# A compiler's longest time on a busy machine; who would train for twice as long wins by waiting.
COMPILER_SECONDS = 30.0

_running: dict[Path, subprocess.Popen[bytes]] = {}


def chosen(
    training: Training,
    data: Data,
    asked: str,
    began: Mapping[str, Any] | None,
    *,
    auto: bool,
    wait: Callable[[], bool],
) -> Choice:
    """The code for this attempt.

    `began` is what the job's lineage says of the first one, `auto` whether a job that asked for
    nothing may have machine code, and `wait` is called over and over while a compiler is waited
    for: it takes its time, and says whether that is still worth while.
    """
    if asked == PLAIN:
        return choose(training, data, kernel=PLAIN)
    if began is None:
        if asked == "auto" and not auto:
            return Choice(PLAIN, "this worker leaves machine code to jobs that ask for it")
        choice = choose(training, data)
    elif began["name"] == PLAIN:
        return Choice(PLAIN, began["reason"])
    else:
        choice = choose(training, data, kernel=began["name"])
    waits = began is not None or asked == "compiled" or _saves_more(training, data)
    compilers = _compile_apart(choice.missing(), hurried=waits)
    if waits:
        _wait_for(choice, compilers, wait)
    if choice.ready:
        return choice
    return Choice(PLAIN, f"the kernel {choice.kernel} is compiled now, for later jobs")


def _wait_for(
    choice: Choice, compilers: list[subprocess.Popen[bytes]], wait: Callable[[], bool]
) -> None:
    """Until the kernel is ready, nobody is at it any more, or waiting is not worth while."""
    while not choice.ready and any(each.poll() is None for each in compilers) and wait():
        pass


def _saves_more(training: Training, data: Data) -> bool:
    """Whether this training on the plain path would take much longer than any compiler."""
    samples = len(data.inputs)
    updates = training.epochs * math.ceil(samples / min(training.batch_size or samples, samples))
    return updates * PLAIN_UPDATE_SECONDS > 2 * COMPILER_SECONDS


def _compile_apart(files: list[Path], *, hurried: bool) -> list[subprocess.Popen[bytes]]:
    """The processes that compile these modules; started where none is at it.

    They come behind everybody else, unless a job waits, whose worker is idle meanwhile.
    """
    for file, process in list(_running.items()):
        if process.poll() is not None:
            del _running[file]
    new = [file for file in files if file not in _running]
    if new:
        command = [sys.executable, "-m", "backpropd.engine.kernels.ahead"]
        if not hurried:
            command = ["nice", "-n", "10", *command]
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*command, *map(str, new)], stdin=subprocess.DEVNULL
        )
        _running.update(dict.fromkeys(new, process))
    return [_running[file] for file in files]
