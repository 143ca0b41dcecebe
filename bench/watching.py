"""What it costs to be watched: cancel, progress, history and checkpoints.

python -m bench.watching
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from threadpoolctl import threadpool_limits

from backpropd.engine import Block, TrainingState, fit
from backpropd.settings import Settings
from backpropd.spec.base import parse
from backpropd.spec.job import JobSpec
from backpropd.spec.limits import LIMITS
from backpropd.store import history, leases
from backpropd.store.database import Database
from backpropd.store.migrate import upgrade
from backpropd.store.tables import LOCAL_TENANT
from bench.costs import Cost
from bench.data import task_of
from bench.ours import built, chosen, start
from bench.task import Task
from bench.workloads import WORKLOADS
from service import submission
from worker.runner import Runner

DIGITS_EPOCHS = 6000  # of about four seconds
# As a worker has them.
BLOCK_SECONDS = 0.2
CHECKPOINT_SECONDS = 2.0
JOB_SECONDS = 10.0
CANCELS = 40


def measured(rounds: int) -> list[Cost]:
    """With one thread, as a worker has it."""
    with threadpool_limits(limits=1):
        return _measured(rounds)


def _measured(rounds: int) -> list[Cost]:
    cancels = [
        Cost(
            name=f"cancel {name}",
            title=f"from a wish to the end of training: {title}",
            unit="ms",
            at_most=5.0,
            values=cancelled(name),
            worst=True,
        )
        for name, title in (
            ("mazur", "Mazur"),
            ("digits", "digits"),
            ("mnist-sgd", "784-128-10, batches of 128"),
        )
    ]
    watched = Cost(
        name="watched",
        title="digits with cancel, progress, every epoch's history, a checkpoint each 2 s",
        unit="%",
        at_most=1.0,
        values=watched_digits(rounds),
    )
    recorded = [
        Cost(
            name=f"recorded {name}",
            title=f"every epoch through a worker into SQLite, ten seconds of {title}",
            unit="%",
            at_most=3.0,
            values=recorded_job(name, max(1, rounds // 3)),
        )
        for name, title in (("digits", "digits"), ("iris-online", "iris, online"))
    ]
    return [watched, *cancels, *recorded]


def task_named(name: str, epochs: int | None = None) -> Task:
    """A workload's task, with as many epochs as that."""
    task = task_of(next(workload for workload in WORKLOADS if workload.name == name))
    return task if epochs is None else replace(task, epochs=epochs)


def watched_digits(rounds: int) -> list[float]:
    """Percent of time that is added, in each round."""
    task = task_named("digits", DIGITS_EPOCHS)
    training, data = built(task)
    plan = chosen(training, data)

    def seconds(enough: Callable[[], bool], take: Callable[[TrainingState], None]) -> float:
        state = start(training.network, task)
        began = time.perf_counter()
        for block in fit(training, data, state, enough=enough, mark=None, plan=plan):
            take(block.state)
        return time.perf_counter() - began

    watcher = _Watcher()
    ways = [
        lambda: seconds(lambda: False, lambda state: None),
        lambda: seconds(watcher, watcher.take),
    ]
    ways[0]()
    found = []
    for turn in range(rounds):
        took = {way: ways[way]() for way in ((0, 1) if turn % 2 else (1, 0))}
        found.append(100 * (took[1] / took[0] - 1))
    return found


class _Watcher:
    """A flag that is read, the clock, and all that a worker keeps of a block."""

    def __init__(self) -> None:
        self.cancelled = np.zeros(1, np.int64)
        self.until = self.checkpoint_due = 0.0
        self.epoch, self.checkpoint = 0, b""

    def __call__(self) -> bool:
        return bool(self.cancelled[0]) or time.monotonic() >= self.until

    def take(self, state: TrainingState) -> None:
        now = time.monotonic()
        self.epoch, self.until = state.epoch, now + BLOCK_SECONDS
        if now >= self.checkpoint_due:
            self.checkpoint, self.checkpoint_due = state.to_bytes(), now + CHECKPOINT_SECONDS


class _Wish:
    """Asked whether it is enough; from the first time on, another process will soon say so."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.said_at = np.frombuffer(mmap.mmap(-1, 8), np.float64)
        self.process = 0

    def __call__(self) -> bool:
        if not self.process:
            self.process = os.fork()
            if not self.process:
                time.sleep(self.seconds)
                self.said_at[0] = time.perf_counter()
                os._exit(0)
        return bool(self.said_at[0])


def cancelled(name: str) -> list[float]:
    """Milliseconds from a flag that another process sets to the return of training."""
    task = task_named(name)
    training, data = built(task)
    training = replace(training, epochs=10**8)
    plan = chosen(training, data)
    state = start(training.network, task)
    next(fit(training, data, state, enough=lambda: True, mark=None, plan=plan))  # compiles
    found = []
    rng = np.random.default_rng(0)
    for _ in range(CANCELS):
        wish = _Wish(float(rng.uniform(0.01, 0.05)))
        next(fit(training, data, state, enough=wish, mark=None, plan=plan))
        found.append(1e3 * (time.perf_counter() - float(wish.said_at[0])))
        os.waitpid(wish.process, 0)
    return found


def recorded_job(name: str, rounds: int) -> list[float]:
    """Percent of its training's time that a job takes besides, from its claim to its end."""
    job = _job(name)
    with tempfile.TemporaryDirectory(prefix="backpropd-bench-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.sqlite'}")
        try:
            upgrade(database)
            return [_through_a_worker(database, job) for _ in range(rounds)]
        finally:
            database.dispose()


def _job(name: str) -> dict[str, Any]:
    """A job of ten seconds."""
    task = task_named(name)
    training, data = built(task)
    plan = chosen(training, data)

    seconds = 0.0
    for _ in range(2):  # the first run may compile
        state = start(training.network, task)
        began = time.perf_counter()
        for _ in fit(training, data, state, enough=lambda: False, mark=None, plan=plan):
            pass
        seconds = time.perf_counter() - began
    epochs = min(LIMITS.epochs, int(task.epochs * JOB_SECONDS / seconds))
    layers = training.network.layers
    network = {
        "inputs": training.network.inputs,
        "layers": [
            {
                "units": layer.units,
                "activation": layer.activation.name,
                "weights": weights.tolist(),
                "biases": biases.tolist(),
            }
            for layer, weights, biases in zip(layers, task.weights, task.biases, strict=True)
        ],
    }
    optimizer = {"name": task.optimizer, "learning_rate": task.rates[0], "momentum": task.momentum}
    return {
        "network": network,
        "dataset": {"inputs": task.inputs.tolist(), "targets": task.targets.tolist()},
        "training": {
            "epochs": epochs,
            "batch_size": task.batch,
            "loss": task.loss,
            "optimizer": optimizer,
            "metrics": [],
            "dtype": task.dtype,
            "kernel": "compiled",
            "seed": 1,
        },
        "snapshots": {"best": None},
    }


def _through_a_worker(database: Database, job: dict[str, Any]) -> float:
    with database.write() as session:
        checked = submission.check(session, LOCAL_TENANT, parse(JobSpec, job))
        submission.store(session, LOCAL_TENANT, checked)
    training = 0.0

    def timed(*arguments: Any, **options: Any) -> Iterator[Block]:
        nonlocal training
        blocks = fit(*arguments, **options)
        while True:
            began = time.perf_counter()
            block = next(blocks, None)
            training += time.perf_counter() - began
            if block is None:
                return
            yield block

    began = time.perf_counter()
    with database.write() as session:
        claimed = leases.claim(session, worker_id="bench", task_id="bench", queue="cpu")
    assert claimed is not None
    with mock.patch("worker.runner.fit", timed):
        Runner(database, Settings(), drained=lambda: False).run(*claimed)
    seconds = time.perf_counter() - began
    with database.read() as session:
        kept = history.rows(session, claimed[0].job_id, metrics=["loss"], first=1, last=10**9)
    assert len(kept.epoch) == job["training"]["epochs"]
    return 100 * (seconds / training - 1)


if __name__ == "__main__":
    for cost in measured(5):
        print(f"{cost.title}: {cost.value:.3g} {cost.unit}, at most {cost.at_most:g}")
