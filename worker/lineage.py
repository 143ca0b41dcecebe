"""Where numbers came from: everything that can change the last bit of a result."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info


def fingerprint(dtype: str, kernel: str) -> dict[str, Any]:
    """The arithmetic's circumstances. Equal fingerprints promise equal bits."""
    blas: dict[str, Any] = next((lib for lib in threadpool_info() if lib["user_api"] == "blas"), {})
    return {
        "program": version("backpropd"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas.get('internal_api', 'none')} {blas.get('version', '')}".strip(),
        "blas_core": str(blas.get("architecture", "")),
        "threads": int(blas.get("num_threads", 1)),
        "machine": platform.machine(),
        "simd": _simd(),
        "kernel": kernel,
        "dtype": dtype,
    }


def _simd() -> list[str]:
    """The vector instructions that NumPy found here: they decide the order of its sums."""
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return found
