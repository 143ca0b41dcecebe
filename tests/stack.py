"""A real stack for tests: `backpropd up` on a free port, and what is left when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from backpropd.client import Client

FAST = {
    "BACKPROPD_BEAT_SECONDS": "0.2",
    "BACKPROPD_LEASE_SECONDS": "3",
    # Tests kill what is at work: jobs shall take as long on every machine, whatever is compiled.
    "BACKPROPD_AUTO_KERNELS": "false",
}


class Stack:
    """A `backpropd up`, on a free port unless one is given."""

    def __init__(self, data: Path, *, port: str = "0", **environment: str) -> None:
        """Over this folder, with these settings besides the fast ones."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("BACKPROPD_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "backpropd.cli", "up", "--port", port, "--data", str(data)],
            stdout=subprocess.PIPE,
            text=True,
            env=own | FAST | {"BACKPROPD_CHECKPOINT_SECONDS": "0.2"} | environment,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://"), line
        self.data = data
        self.address = line.split()[1]
        self.client = Client(self.address)

    def children(self) -> list[psutil.Process]:
        """Every process that it started, and theirs."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def trainers(self) -> list[psutil.Process]:
        """The worker's processes, parent first."""
        return [p for p in self.children() if "worker.app" in p.cmdline()]

    def finished(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job once it has ended."""
        return list(self.client.watch(job["id"]))[-1]

    def stop(self) -> None:
        """Ask it to stop, and see that nothing stays."""
        children = self.children()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.client.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert gone(children)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them end within some seconds."""
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive
