"""Where numbers came from: everything that can change the last bit of a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController


def fingerprint(dtype: str, kernel: str) -> dict[str, Any]:
    """The arithmetic's circumstances. Equal fingerprints promise equal bits."""
    libraries = _libraries().info()
    blas: dict[str, Any] = next((lib for lib in libraries if lib["user_api"] == "blas"), {})
    return {
        "program": _program(),
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


@cache
def _libraries() -> ThreadpoolController:
    """The libraries with threads of their own; finding them takes longer than a small job."""
    return ThreadpoolController()


@cache
def _program() -> str:
    return version("backpropd")


@cache
def _simd() -> list[str]:
    """The vector instructions that NumPy found here: they decide the order of its sums."""
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return found
