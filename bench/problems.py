"""The problems of the classic texts, as jobs of the real service, over many seeds.

python -m bench.problems [--seeds 100] [--workers 2] writes docs/reference/problems.md from what the
jobs' history says.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backpropd.client import Client

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "problems.md"
# Fahlman's 40-20-40 rule: below 0.4 is 0, above 0.6 is 1; and Rumelhart's 0.1 and 0.9.
FORTY, TENTH = 0.4, 0.1


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem as one text has it, and what that text found."""

    title: str
    dataset: str
    layers: list[dict[str, Any]]
    inputs: int
    learning_rate: float
    momentum: float
    weights: float  # drawn from -weights to weights
    epochs: int  # where an attempt is given up
    published: str
    lands: tuple[int, int]  # the median that is of the published order
    batch_size: int | str = "all"
    loss: str = "half_squared_error"
    optimizer: str = "sgd"
    tolerance: float = TENTH
    settings: dict[str, Any] | None = None

    def job(self, seed: int) -> dict[str, Any]:
        """The job of one seed."""
        draw = {"name": "uniform", "low": -self.weights, "high": self.weights}
        layers = [{"init": draw, "bias_init": draw, **layer} for layer in self.layers]
        optimizer = {"name": self.optimizer, "learning_rate": self.learning_rate}
        if self.momentum:
            optimizer["momentum"] = self.momentum
        training = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "loss": self.loss,
            "optimizer": optimizer | (self.settings or {}),
            "metrics": [{"name": "accuracy_within", "tolerance": self.tolerance}],
            "stop": {"error_below": 1e-9, "error_of": "accuracy_within"},
            "seed": seed,
        }
        return {
            "network": {"inputs": self.inputs, "layers": layers},
            "dataset": f"builtin:{self.dataset}",
            "training": training,
            "name": self.title,
            "history": {"every": 1000},
        }


def logistic(*units: int, **last: Any) -> list[dict[str, Any]]:
    """Layers of logistic units, one after the other."""
    layers: list[dict[str, Any]] = [{"units": n, "activation": "logistic"} for n in units]
    layers[-1] |= last
    return layers


def t_c_layers() -> list[dict[str, Any]]:
    """Sixteen hidden units that share one 3 x 3 receptive field, each at its own place."""
    side = 6
    tied = []
    for row in range(side - 2):
        for column in range(side - 2):
            field = [[0] * side for _ in range(side)]
            for number in range(9):
                field[row + number // 3][column + number % 3] = number + 1
            tied.append([tie for line in field for tie in line])
    hidden = {"units": len(tied), "activation": "logistic", "tied": tied, "share_bias": True}
    return [hidden, {"units": 1, "activation": "logistic"}]


def shortcuts(*units: int) -> list[dict[str, Any]]:
    """Every layer fed by the inputs and all layers before it."""
    names = [f"hidden{index}" for index in range(1, len(units))] + ["output"]
    return [
        {"name": name, "units": n, "activation": "logistic", "from": ["inputs", *names[:index]]}
        for index, (name, n) in enumerate(zip(names, units, strict=True))
    ]


OFFSET = {"name": "logistic", "prime_offset": 0.1}
PROBLEMS = (
    Problem(
        title="XOR, 2-2-1",
        dataset="xor",
        inputs=2,
        layers=logistic(2, 1),
        learning_rate=0.5,
        momentum=0.9,
        weights=1.0,
        batch_size=1,
        epochs=5000,
        published="about 558 sweeps (r), with local minima (r): PDP vol. 1, ch. 8",
        lands=(56, 5580),
    ),
    Problem(
        title="XOR, 2-1-1 with shortcut",
        dataset="xor",
        inputs=2,
        layers=shortcuts(1, 1),
        learning_rate=0.5,
        momentum=0.9,
        weights=1.0,
        batch_size=1,
        epochs=5000,
        published="solved; no count: PDP vol. 1, ch. 8",
        lands=(56, 5580),
    ),
    Problem(
        title="parity-4, 4-4-1",
        dataset="parity-4",
        inputs=4,
        layers=logistic(4, 1),
        learning_rate=0.5,
        momentum=0.9,
        weights=1.0,
        batch_size=1,
        epochs=10_000,
        published="about 2,825 sweeps, rate 0.5 (r): PDP vol. 1, ch. 8",
        lands=(283, 10_000),
    ),
    Problem(
        title="encoder 8-3-8",
        dataset="encoder-8-3-8",
        inputs=8,
        layers=logistic(3, 8),
        learning_rate=0.5,
        momentum=0.9,
        weights=1.0,
        batch_size=1,
        epochs=5000,
        published="solved; no count: PDP vol. 1, ch. 8",
        lands=(20, 5000),
    ),
    Problem(
        title="encoder 10-5-10, backpropagation",
        dataset="encoder-10-5-10",
        inputs=10,
        layers=[{"units": 5, "activation": OFFSET}, {"units": 10, "activation": OFFSET}],
        learning_rate=10.0,
        momentum=0.0,
        weights=1.0,
        loss="half_squared_error",
        tolerance=FORTY,
        epochs=2000,
        published="about 129 epochs on average, by the 40-20-40 rule (r): Fahlman 1988",
        lands=(13, 1290),
    ),
    Problem(
        title="encoder 10-5-10, Quickprop",
        dataset="encoder-10-5-10",
        inputs=10,
        layers=[{"units": 5, "activation": OFFSET}, {"units": 10, "activation": OFFSET}],
        learning_rate=15.0,
        momentum=0.0,
        weights=1.0,
        optimizer="quickprop",
        tolerance=FORTY,
        epochs=2000,
        published="about 22 epochs on average, by the 40-20-40 rule (r): Fahlman 1988",
        lands=(3, 220),
    ),
    Problem(
        title="symmetry, 6-2-1",
        dataset="symmetry",
        inputs=6,
        layers=logistic(2, 1),
        learning_rate=0.1 * 64,  # the text sums over the patterns, a batch here is a mean
        momentum=0.9,
        weights=0.3,
        epochs=20_000,
        published="1,425 sweeps, rate 0.1, momentum 0.9, weights from -0.3 to 0.3 (r): Nature 323",
        lands=(143, 14_250),
    ),
    Problem(
        title="binary addition, 4-3-3, hidden units in a chain",
        dataset="addition",
        inputs=4,
        layers=[
            {"name": "h1", "units": 1, "activation": "logistic"},
            {"name": "h2", "units": 1, "activation": "logistic", "from": ["inputs", "h1"]},
            {"name": "h3", "units": 1, "activation": "logistic", "from": ["inputs", "h1", "h2"]},
            {"units": 3, "activation": "logistic", "from": ["inputs", "h1", "h2", "h3"]},
        ],
        learning_rate=0.25,
        momentum=0.9,
        weights=0.5,
        batch_size=1,
        epochs=10_000,
        published="thousands of sweeps (r): PDP vol. 1, ch. 8",
        lands=(100, 10_000),
    ),
    Problem(
        title="negation, 4-6-3",
        dataset="negation",
        inputs=4,
        layers=logistic(6, 3),
        learning_rate=0.25,
        momentum=0.0,
        weights=0.5,
        batch_size=1,
        epochs=20_000,
        published="about 5,000 sweeps, rate 0.25 (r): PDP vol. 1, ch. 8",
        lands=(500, 20_000),
    ),
    Problem(
        title="T-C, one shared 3 x 3 receptive field",
        dataset="t-c",
        inputs=36,
        layers=t_c_layers(),
        learning_rate=0.1,
        momentum=0.9,
        weights=0.5,
        batch_size=1,
        epochs=2000,
        published="5,000 to 10,000 presentations (r), here 128 a sweep: PDP vol. 1, ch. 8",
        lands=(4, 780),
    ),
    Problem(
        title="two spirals, 2-5-5-5-1 with all shortcuts",
        dataset="two_spirals",
        inputs=2,
        layers=shortcuts(5, 5, 5, 1),
        learning_rate=0.001,
        momentum=0.0,
        weights=0.5,
        optimizer="irprop_minus",
        tolerance=FORTY,
        epochs=20_000,
        published="about 20,000 epochs backpropagation, 8,000 Quickprop (r): Lang & Witbrock 1988; "
        "here by Rprop",
        lands=(500, 20_000),
    ),
)
