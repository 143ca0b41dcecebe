"""The same training in machine code, made from the parts' own definitions.

`symbols` runs a definition on symbols and keeps what it computes, `code` writes that down in
vectors, `traced` does so for all parts of a training; `loops` are the kernels around them, `course`
and `blas` run them, `plan` says which one. Nothing here is needed: without Numba the textbook's
code trains.
"""

from backpropd.engine.kernels.plan import KERNELS, Choice, choose, preload
from backpropd.engine.kernels.sweep import Sweep, choose_many

__all__ = ["KERNELS", "Choice", "Sweep", "choose", "choose_many", "preload"]
