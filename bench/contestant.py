"""A contestant as the referee sees it: a process that runs when it is told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from bench.environment import PYTHON, ROOT, threads_environment
from bench.workloads import FANN, JAX, OURS, PRODUCTS, SKLEARN, TORCH, TORCH_STACKED

MODULES = {
    OURS: "bench.ours",
    PRODUCTS: "bench.products",
    SKLEARN: "bench.peers.scikit_learn",
    TORCH: "bench.peers.pytorch",
    TORCH_STACKED: "bench.peers.pytorch_stacked",
    JAX: "bench.peers.jax_scan",
    FANN: "bench.peers.fann",
}
AT_HOME = (OURS, PRODUCTS)  # in the project's own environment


class Failed(RuntimeError):
    """It did not run; the message says why."""


class Contestant:
    """One process, from its start with a task to its end."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self.name = name
        python = sys.executable if name in AT_HOME else str(PYTHON)
        self.complaints = (folder / f"{name}.log").open("w+")
        self.process = subprocess.Popen(
            [python, "-m", MODULES[name], str(folder)],
            cwd=ROOT,
            env=threads_environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            text=True,
        )
        # No library may take more cores than everybody has.
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))[-threads:]
            os.sched_setaffinity(self.process.pid, cores)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.complaints.close()

    def ready(self) -> dict[str, Any]:
        """Wait until it is: its versions and its BLAS."""
        return self._answer()

    def run(self) -> dict[str, Any]:
        """One run, as serve.Run says."""
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.complaints.seek(0)
            said = self.complaints.read().strip().splitlines()
            raise Failed(said[-1] if said else f"it ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
