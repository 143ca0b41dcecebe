"""The wall clock of a process, to be stepped while it runs.

By libfaketime, which stands between a process and its C library: everything that runs in the
process sees the step, and its monotonic clock goes on as it went.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def library() -> Path | None:
    """The library, where there is one that this machine can load."""
    found = find_spec("libfaketime")  # its wheel has it for Linux on x86-64 alone
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    program = [sys.executable, "-c", "import time; print(time.time())"]
    environment = {**os.environ, "LD_PRELOAD": str(path), "FAKETIME": "+3600s"}
    ran = subprocess.run(program, check=True, capture_output=True, env=environment, text=True)
    return path if float(ran.stdout) - time.time() > 1800 else None


class Clock:
    """The wall clock of the processes that are started with its environment."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        """What puts a process under this clock."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Let it be so many seconds ahead, or behind, from now on."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}s\n")
        fresh.replace(self.file)  # at once, for whoever reads it just now
