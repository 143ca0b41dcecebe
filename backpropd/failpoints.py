"""Places at which a process can be told to die, so that tests may kill it exactly there.

Unless the environment names one when the process starts, each of them does nothing:

    BACKPROPD_FAILPOINT=after_claim:2       dies at the second passage, as by SIGKILL
    BACKPROPD_FAILPOINT_MARKER=FILE         once: not while this file exists, which it then makes
"""

from __future__ import annotations

import os
import signal

_name, _, _count = os.environ.get("BACKPROPD_FAILPOINT", "").partition(":")
_marker = os.environ.get("BACKPROPD_FAILPOINT_MARKER")
_passages_left = int(_count or 1)


def failpoint(name: str) -> None:
    """Die here, with no chance to clean up, if the environment says so."""
    global _passages_left  # noqa: PLW0603 - passages are counted a process
    if name != _name:
        return
    _passages_left -= 1
    if _passages_left <= 0 and _first():
        os.kill(os.getpid(), signal.SIGKILL)


def _first() -> bool:
    """Whether no process has died here before; the marker is left for those to come."""
    if _marker is None:
        return True
    try:
        os.close(os.open(_marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
