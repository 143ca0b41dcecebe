"""A workload's numbers on disk, where contestants of any environment find them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one contestant is given.

    `weights` (units, fan_in) and `biases` (units,) are of each layer and, in a swarm, of each
    network first: (K, units, fan_in). `orders` (E, N), in a swarm (K, E, N), say which sample is
    presented when.
    """

    sizes: list[int]
    hidden: str
    output: str
    loss: str
    batch: int
    epochs: int
    rates: list[float]  # one, or one a network
    momentum: float
    optimizer: str
    dtype: str
    threads: int
    train_biases: bool
    networks: int
    number: int  # of the first network: which orders it draws
    inputs: Array = field(repr=False)  # (N, I)
    targets: Array = field(repr=False)  # (N, O)
    orders: Array = field(repr=False)
    weights: list[Array] = field(repr=False)
    biases: list[Array] = field(repr=False)

    @property
    def batches(self) -> int:
        """Updates an epoch."""
        return -(-len(self.inputs) // self.batch)

    def epochs_within(self, updates: int) -> int:
        """How many epochs have about so many updates: what is slow runs a slice of the work."""
        return max(1, min(self.epochs, updates // self.batches))

    def network(self, number: int) -> Task:
        """One network of a swarm, as a task of its own."""
        own: dict[str, Any] = {
            "networks": 1,
            "number": self.number + number,
            "rates": [self.rates[number]],
            "orders": self.orders[number],
            "weights": [each[number] for each in self.weights],
            "biases": [each[number] for each in self.biases],
        }
        return Task(**{**{name: getattr(self, name) for name in self.__dataclass_fields__}, **own})


ARRAYS = ("inputs", "targets", "orders")
LISTS = ("weights", "biases")


def write(task: Task, folder: Path) -> None:
    """Into an empty folder."""
    plain = {k: v for k, v in asdict(task).items() if k not in (*ARRAYS, *LISTS)}
    (folder / "task.json").write_text(json.dumps(plain))
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(task, name))
    for name in LISTS:
        for layer, values in enumerate(getattr(task, name)):
            np.save(folder / f"{name}.{layer}.npy", values)


def read(folder: Path) -> Task:
    """What was written there."""
    plain = json.loads((folder / "task.json").read_text())
    arrays = {name: np.load(folder / f"{name}.npy") for name in ARRAYS}
    layers = range(len(plain["sizes"]) - 1)
    lists = {name: [np.load(folder / f"{name}.{k}.npy") for k in layers] for name in LISTS}
    return Task(**plain, **arrays, **lists)
