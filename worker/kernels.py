"""Which code trains a job: nobody waits for a compiler, and a job ends with the code it began with.

A kernel that is not compiled yet is compiled apart, for the next job that needs it, and this one
takes the plain path. What was chosen first stands in the job's lineage: later attempts keep to it,
as another kernel would give other last bits.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backpropd.engine import Data, Training
from backpropd.engine.kernels import Choice, choose

_running: dict[Path, subprocess.Popen[bytes]] = {}


def chosen(training: Training, data: Data, asked: str, began: Mapping[str, Any] | None) -> Choice:
    """The code for this attempt; `began` is what the job's lineage says of the first one."""
    if asked == "plain":
        return choose(training, data, kernel="plain")
    if began is not None and began["name"] == "plain":
        return Choice("plain", began["reason"])
    choice = choose(training, data, kernel=None if began is None else began["name"])
    _compile_apart(choice.missing())
    if choice.ready:
        return choice
    return Choice("plain", f"the kernel {choice.kernel} is compiled now, for later jobs")


def _compile_apart(files: list[Path]) -> None:
    """Start a process that compiles these modules, behind everybody else, unless one is at it."""
    for file, process in list(_running.items()):
        if process.poll() is not None:
            del _running[file]
    files = [file for file in files if file not in _running]
    if files:
        command = ["nice", "-n", "10", sys.executable, "-m", "backpropd.engine.kernels.ahead"]
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*command, *map(str, files)], stdin=subprocess.DEVNULL
        )
        _running.update(dict.fromkeys(files, process))
