"""Networks and runs for the engine's tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from backpropd.engine import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Block,
    Data,
    Layer,
    Network,
    Stopping,
    Training,
    TrainingState,
    fit,
)

THETA = np.array([0.15, 0.20, 0.25, 0.30, 0.35, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.60])


def layer(name: str, units: int, activation: str, *sources: str, **flags: Any) -> Layer:
    """A layer that is trained whole unless flags say otherwise."""
    default = {"use_bias": True, "train_weights": True, "train_biases": True}
    return Layer(name=name, units=units, activation=activation, sources=sources, **default | flags)


def mazur_network(*, train_biases: bool = False) -> Network:
    """Two inputs, two hidden units, two outputs, all logistic."""
    flags = {"train_biases": train_biases}
    hidden = layer("hidden", 2, "logistic", "inputs", **flags)
    output = layer("output", 2, "logistic", "hidden", **flags)
    return Network(inputs=2, layers=[hidden, output], dtype="float64")


def training_of(network: Network, **changes: Any) -> Training:
    """Plain online gradient descent, but for the changes."""
    rules: dict[str, Any] = {
        "loss_below": None,
        "patience": None,
        "min_delta": 0.0,
        "monitor": "loss",
    }
    rules |= changes.pop("stop", {})
    default: dict[str, Any] = {
        "network": network,
        "loss": LOSSES[changes.pop("loss", "half_squared_error")],
        "optimizer": OPTIMIZERS["sgd"](momentum=changes.pop("momentum", 0.0)),
        "schedule": SCHEDULES["constant"](),
        "learning_rate": 0.5,
        "epochs": 10,
        "batch_size": 1,
        "shuffle": False,
        "update_order": "simultaneous",
        "metrics": (),
        "stopping": Stopping(**rules),
        "best": None,
    }
    return Training(**default | changes)


def data_of(X: Any, T: Any, XV: Any = None, TV: Any = None) -> Data:
    """Samples, and samples to validate on."""
    return Data(inputs=X, targets=T, validation_inputs=XV, validation_targets=TV)


def begin(training: Training, theta: Any, seed: int = 0) -> TrainingState:
    """The state before the first update."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return TrainingState.start(theta, slots=training.optimizer.slots, rng=rng)


def crank(
    training: Training, data: Data, state: TrainingState, **hooks: Any
) -> tuple[list[Block], dict[str, Any]]:
    """Turn the crank to the end; the blocks and their columns joined."""
    default = {"enough": lambda: False, "mark": lambda epoch: False}
    blocks = list(fit(training, data, state, **default | hooks))
    names = blocks[0].columns
    columns = {name: np.concatenate([b.columns[name] for b in blocks]) for name in names}
    return blocks, columns


def train(
    network: Network, theta: Any, X: Any, T: Any, **changes: Any
) -> tuple[TrainingState, dict[str, Any]]:
    """Train from theta; the state at the end, and the history."""
    training = training_of(network, **changes)
    state = begin(training, theta)
    _, columns = crank(training, data_of(X, T), state)
    return state, columns
