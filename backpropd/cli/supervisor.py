"""Keeps programs running: starts them, starts them again when they die, stops them all.

A program's children die with it, and all of it dies with this process, also if it is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACKOFF_SECONDS = (0.5, 30.0)
STEADY_SECONDS = 60.0  # who has run for so long begins its backoff anew
STOP_SECONDS = 4.0
KILL_SECONDS = 0.8
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Program:
    """Something to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    pass_fds: tuple[int, ...] = ()


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    not_before: float = field(default=0.0)


class Supervisor:
    """Runs programs in the order given, and stops them in the opposite one."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` is given a sentence when a program dies; `clock` is monotonic, in seconds."""
        self.children = [_Child(program) for program in programs]
        self.tell, self.clock = tell, clock

    def start(self) -> None:
        """Start every program."""
        for child in self.children:
            self._start(child)

    def revive(self) -> None:
        """Start again what died, each time after a longer wait."""
        for child in self.children:
            if child.process is None:
                if self.clock() >= child.not_before:
                    self._start(child)
            elif child.process.poll() is not None:
                self._mourn(child, child.process.returncode)

    def stop(self) -> None:
        """Ask all but the first (the broker, where there is one) to go, then it; then kill."""
        deadline = time.monotonic() + STOP_SECONDS
        for group in (self.children[1:], self.children[:1]):
            for child in group:
                _signal(child, signal.SIGTERM)
            for child in group:
                _wait(child, deadline)
            deadline = max(deadline, time.monotonic() + KILL_SECONDS / 2)
        for child in self.children:
            _signal(child, signal.SIGKILL)
            _wait(child, time.monotonic() + KILL_SECONDS)

    def _start(self, child: _Child) -> None:
        program = child.program
        with program.log.open("ab") as log:
            child.process = subprocess.Popen(  # noqa: S603 - our own programs
                program.command,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=program.pass_fds,
                # A Ctrl-C is for the supervisor, who stops the programs in their order.
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - no threads here
            )
        child.started = self.clock()

    def _mourn(self, child: _Child, returncode: int) -> None:
        lived = self.clock() - child.started
        child.restarts = 0 if lived >= STEADY_SECONDS else child.restarts + 1
        wait = min(BACKOFF_SECONDS[0] * 2 ** max(child.restarts - 1, 0), BACKOFF_SECONDS[1])
        child.not_before = self.clock() + wait
        _signal(child, signal.SIGKILL)  # whatever it leaves behind
        child.process = None
        self.tell(
            f"{child.program.name} ended with {returncode}; again in {wait:.1f} s "
            f"(see {child.program.log})"
        )


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """Popen's `preexec_fn` that lets the kernel kill the child when this process, `parent`, dies.

    By SIGKILL, so that not even a parent that is killed leaves a program behind. None elsewhere
    than on Linux, which alone can do it.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be arranged
            os._exit(1)

    return arrange


def _signal(child: _Child, signum: int) -> None:
    """To a program, and when killing to its whole session."""
    if child.process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        if signum == signal.SIGKILL:
            os.killpg(child.process.pid, signum)
        elif child.process.poll() is None:
            child.process.send_signal(signum)


def _wait(child: _Child, deadline: float) -> None:
    if child.process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
