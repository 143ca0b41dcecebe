"""Compiles generated modules for whoever needs them next: python -m backpropd.engine.kernels.ahead
FILE ..., the files of a kernels' folder."""

from __future__ import annotations

import sys
from pathlib import Path

from backpropd.engine.kernels import generated

if __name__ == "__main__":
    for path in sys.argv[1:]:
        generated.load(Path(path))
