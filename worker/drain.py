"""One byte that parent and children share: "hand back what you hold, we are going down"."""

from __future__ import annotations

import mmap

# Anonymous and shared, made before the pool forks: no database and no signal is needed to read it.
_byte = mmap.mmap(-1, 1)


def begin() -> None:
    """Ask every child to hand its job back at its next tick."""
    _byte[0] = 1


def begun() -> bool:
    """Whether the worker is going down."""
    return _byte[0] == 1
