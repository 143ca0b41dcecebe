"""The matrix products of a training alone, through NumPy: no faster can be who leaves them to BLAS.

python -m bench.products FOLDER
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bench.serve import Run, serve
from bench.task import Task


def prepare(task: Task) -> Callable[[], Run]:
    """All products of forward and backward pass, into arrays that are there already."""
    rng = np.random.default_rng(0)
    rows, dtype = task.batch, task.dtype
    outs = [rng.random((rows, size)).astype(dtype) for size in task.sizes]
    deltas = [rng.random((rows, size)).astype(dtype) for size in task.sizes]
    weights = [each.T.copy() for each in task.weights]
    gradients = [np.empty_like(each) for each in weights]
    layers = range(len(weights))

    def batch() -> None:
        for k in layers:
            np.matmul(outs[k], weights[k], out=outs[k + 1])
        for k in reversed(layers):
            np.matmul(outs[k].T, deltas[k + 1], out=gradients[k])
            if k:
                np.matmul(deltas[k + 1], weights[k].T, out=deltas[k])

    def run() -> Run:
        for out in outs[1:]:
            out.fill(0.5)  # products of products would overflow, which takes another time
        began = time.perf_counter()
        for _ in range(task.epochs * task.batches):
            batch()
        return Run(seconds=time.perf_counter() - began, epochs=task.epochs, losses=[])

    return run


if __name__ == "__main__":
    serve(prepare, "numpy")
