"""Two bytes that parent and children share: "hand back what you hold", and who says so.

A worker that goes down drains for good; one that an operator drains may be asked to go on.
"""

from __future__ import annotations

import mmap

# Anonymous and shared, made before the pool forks: no database and no signal is needed to read it.
_bytes = mmap.mmap(-1, 2)
GOING_DOWN, ASKED = 0, 1


def begin() -> None:
    """Ask every child to hand its job back at its next tick: the worker goes down."""
    _bytes[GOING_DOWN] = 1


def ask(draining: bool) -> None:
    """Ask the same for an operator, or take it back."""
    _bytes[ASKED] = int(draining)


def asked() -> bool:
    """Whether an operator has asked for it."""
    return _bytes[ASKED] == 1


def begun() -> bool:
    """Whether children hand back what they hold."""
    return _bytes[GOING_DOWN] == 1 or _bytes[ASKED] == 1
