"""FANN, the Fast Artificial Neural Network library in C, compiled with fann.c into a program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import numpy as np

from bench.serve import AT_LEAST_SECONDS, Run, serve
from bench.task import Task

PROGRAM = "BENCH_FANN"  # the environment names it


def prepare(task: Task) -> Callable[[], Run]:
    """A run of the whole task, online."""
    assert task.batch == 1
    said = " ".join(_said(task))

    def run() -> Run:
        done = subprocess.run(
            [os.environ[PROGRAM]], input=said, capture_output=True, text=True, check=True
        )
        seconds, loss = map(float, done.stdout.split())
        return Run(seconds=seconds, epochs=task.epochs, losses=[loss])

    return run


def _said(task: Task) -> Iterator[str]:
    """As fann.c reads it."""
    yield str(len(task.sizes))
    yield from map(str, task.sizes)
    yield f"{len(task.inputs)} {task.epochs} {task.rates[0]} {AT_LEAST_SECONDS}"
    for weights, biases in zip(task.weights, task.biases, strict=True):
        yield from map(repr, np.column_stack([weights, biases]).ravel().tolist())
    yield from map(repr, np.column_stack([task.inputs, task.targets]).ravel().tolist())
    yield from map(str, task.orders.ravel().tolist())


if __name__ == "__main__":
    serve(prepare, repeats=True)
