"""From which size on BLAS is faster than the kernel with products of its own.

python -m bench.crossover

One thread, networks of H-H-10 units with relu and momentum: microseconds a batch in the `fused` and
in the `blas` kernel, in turns, and how many multiplications a batch has. What `choose` would take
has a star.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from threadpoolctl import threadpool_limits

from backpropd.engine.kernels import choose
from bench.ours import built, start
from bench.task import Task

UNITS = (32, 64, 128, 256, 512)
BATCHES = (16, 32, 64, 128, 256)
DTYPES = ("float32", "float64")
KERNELS = ("fused", "blas")
ROUNDS, OUTPUTS = 7, 10
WORK = 20_000_000  # multiplications of a run, at least


def updates(units: int, batch: int) -> int:
    """How many batches a run has: many small ones, a few large ones."""
    return max(6, min(100, WORK // products(units, batch)))


def products(units: int, batch: int) -> int:
    """How many multiplications the forward pass of a batch has."""
    return batch * units * (units + OUTPUTS)


def task_of(units: int, batch: int, dtype: str) -> Task:
    """One epoch of a few batches of chance."""
    rng = np.random.default_rng(0)
    sizes, rows = [units, units, OUTPUTS], batch * updates(units, batch)
    pairs = list(zip(sizes[1:], sizes[:-1], strict=True))
    return Task(
        sizes=sizes,
        hidden="relu",
        output="softmax",
        loss="cross_entropy",
        batch=batch,
        epochs=1,
        rates=[0.01],
        momentum=0.9,
        optimizer="sgd",
        dtype=dtype,
        threads=1,
        train_biases=True,
        networks=1,
        number=0,
        inputs=rng.random((rows, units)).astype(dtype),
        targets=np.eye(OUTPUTS, dtype=dtype)[rng.integers(0, OUTPUTS, rows)],
        orders=np.arange(rows)[None],
        weights=[rng.uniform(-1, 1, pair) * np.sqrt(3 / pair[1]) for pair in pairs],
        biases=[np.zeros(units) for units, _ in pairs],
    )


def microseconds(task: Task) -> dict[str, float]:
    """A batch's time in each kernel: the median of rounds in turns."""
    training, data = built(task)
    choices = {kernel: choose(training, data, kernel=kernel) for kernel in KERNELS}
    times: dict[str, list[float]] = {kernel: [] for kernel in KERNELS}
    for number in range(ROUNDS + 1):
        for kernel, choice in choices.items():
            state = start(training.network, task)
            course = choice.course(training, data, state)
            began = time.perf_counter()
            course.stretch(lambda: False, None)
            if number:  # the first round finds cold caches
                times[kernel].append(time.perf_counter() - began)
    return {kernel: 1e6 * statistics.median(each) / task.batches for kernel, each in times.items()}


def main() -> None:
    """A line for each size."""
    heading = "".join(f"{kernel + ' us':>12}" for kernel in KERNELS)
    print(f"{'type':8} {'units':>6} {'batch':>6} {'products':>12}{heading}")
    for dtype in DTYPES:
        for units in UNITS:
            for batch in BATCHES:
                task = task_of(units, batch, dtype)
                chosen = choose(*built(task)).kernel
                shown = "".join(
                    f"{found:11.1f}{'*' if kernel == chosen else ' '}"
                    for kernel, found in microseconds(task).items()
                )
                work = products(units, batch)
                print(f"{dtype:8} {units:6} {batch:6} {work:12,}{shown}", flush=True)


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        main()
