"""Compiles what most jobs will need, before they come: python -m worker.warming

Started by a worker and of the lowest priority. A kernel serves every shape, so that a dozen
trainings stand for most. One process a machine does it; it ends with the worker that started it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from backpropd.engine import Data, Training
from backpropd.engine.kernels import choose
from backpropd.spec.base import parse
from backpropd.spec.build import build_network, build_training
from backpropd.spec.job import JobSpec
from backpropd.spec.network import NetworkSpec

NICENESS = 19
LOCK = "warming.lock"  # in the kernels' folder

_SGD: dict[str, Any] = {"name": "sgd", "learning_rate": 0.1}
_MOMENTUM = _SGD | {"momentum": 0.9}
_ADAM: dict[str, Any] = {"name": "adam"}
_CLASSES = ("softmax", "cross_entropy")
_TEXTBOOK = ("logistic", "half_squared_error")
_YES_OR_NO = ("logistic", "binary_cross_entropy")
_NUMBERS = ("linear", "mean_squared_error")

# Hidden activation, output and loss, optimizer, batch size, whether rows are held back.
COMMON: tuple[tuple[str, tuple[str, str], dict[str, Any], int, bool], ...] = (
    ("logistic", _TEXTBOOK, _SGD, 1, False),
    ("tanh", _CLASSES, _MOMENTUM, 32, True),
    ("relu", _CLASSES, _ADAM, 32, True),
    ("logistic", _TEXTBOOK, _MOMENTUM, 1, False),
    ("relu", _CLASSES, _MOMENTUM, 32, True),
    ("tanh", _CLASSES, _SGD, 32, True),
    ("tanh", _CLASSES, _SGD, 32, False),
    ("relu", _NUMBERS, _ADAM, 32, True),
    ("tanh", _YES_OR_NO, _MOMENTUM, 32, False),
    ("tanh", _CLASSES, _SGD, 1, True),
)


def start() -> subprocess.Popen[bytes]:
    """The process, beside a worker."""
    return subprocess.Popen([sys.executable, "-m", "worker.warming"], stdin=subprocess.DEVNULL)


def trainings() -> Iterator[tuple[Training, Data]]:
    """The common ones."""
    for hidden, (output, loss), optimizer, batch, validates in COMMON:
        yield _training(hidden, output, loss, optimizer, batch, validates=validates)


def _training(
    hidden: str, output: str, loss: str, optimizer: dict[str, Any], batch: int, *, validates: bool
) -> tuple[Training, Data]:
    layers = [{"units": 2, "activation": hidden}, {"units": 2, "activation": output}]
    asked = {"loss": loss, "optimizer": optimizer, "batch_size": batch}
    if validates:
        asked["validation"] = {"fraction": 0.2}
    job = {"network": {"inputs": 2, "layers": layers}, "dataset": "builtin:xor", "training": asked}
    spec = parse(JobSpec, job)
    assert isinstance(spec.network, NetworkSpec)
    training = build_training(
        build_network(spec.network, dtype=spec.training.dtype),
        spec.network,
        spec.training,
        spec.history,
        spec.snapshots,
        task="classification" if output == "softmax" else "regression",
    )
    rows = np.zeros((64, 2))
    held_back = rows if validates else None
    data = Data(
        inputs=rows,
        targets=rows,
        weights=None,
        validation_inputs=held_back,
        validation_targets=held_back,
    )
    return training, data


def main() -> None:
    """Compile one after the other what is not there yet."""
    from backpropd.engine.kernels import generated  # noqa: PLC0415 - needs Numba

    parent = os.getppid()
    os.nice(NICENESS)
    for training, data in trainings():
        for file in choose(training, data).missing():
            with _alone(file.with_name(LOCK)) as alone:
                if not alone or os.getppid() != parent:
                    return
                generated.load(file)


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether no other process of this machine is at it."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


if __name__ == "__main__":
    main()
