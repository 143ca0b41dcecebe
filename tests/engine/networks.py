"""Networks and runs for the engine's tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from backpropd.engine import (
    ACTIVATIONS,
    LOSSES,
    METRICS,
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


def layer(name: str, units: int, activation: Any, *sources: str, **changes: Any) -> Layer:
    """A layer that is trained whole, and plain, unless changes say otherwise."""
    if isinstance(activation, str):
        activation = ACTIVATIONS.standard(activation)
    default = {
        "use_bias": True,
        "share_bias": False,
        "train_weights": True,
        "train_biases": True,
        "ties": None,
        "normalization": None,
        "noise": 0.0,
        "dropout": 0.0,
        "l1": 0.0,
        "l2": 0.0,
        "max_norm": None,
    }
    return Layer(
        name=name, units=units, activation=activation, sources=sources, **default | changes
    )


def network_of(inputs: int, *layers: Layer, dtype: str = "float64", noise: float = 0.0) -> Network:
    """A network of these layers."""
    return Network(inputs=inputs, layers=layers, dtype=dtype, input_noise=noise)


def mazur_network(*, train_biases: bool = False) -> Network:
    """Two inputs, two hidden units, two outputs, all logistic."""
    flags = {"train_biases": train_biases}
    hidden = layer("hidden", 2, "logistic", "inputs", **flags)
    output = layer("output", 2, "logistic", "hidden", **flags)
    return network_of(2, hidden, output)


def training_of(network: Network, **changes: Any) -> Training:
    """Plain online gradient descent, but for the changes."""
    rules: dict[str, Any] = {
        "loss_below": None,
        "error_below": None,
        "error_of": "accuracy",
        "updates": None,
        "patience": None,
        "min_delta": 0.0,
        "monitor": "loss",
        "monitor_grows": False,
    }
    rules |= changes.pop("stop", {})
    loss = changes.pop("loss", "half_squared_error")
    optimizer = changes.pop("optimizer", "sgd")
    if isinstance(optimizer, str):
        rate = {"learning_rate": changes.pop("learning_rate", 0.5)}
        momentum = {"momentum": changes.pop("momentum", 0.0)} if optimizer == "sgd" else {}
        optimizer = OPTIMIZERS.standard(optimizer, **rate, **momentum)
    default: dict[str, Any] = {
        "network": network,
        "loss": LOSSES.standard(loss) if isinstance(loss, str) else loss,
        "optimizer": optimizer,
        "schedule": SCHEDULES.standard("constant"),
        "epochs": 10,
        "batch_size": 1,
        "order": "fixed",
        "update_order": "simultaneous",
        "clip": None,
        "metrics": tuple(METRICS.standard(name) for name in changes.pop("metrics", ())),
        "statistics": False,
        "batch_losses": False,
        "stopping": Stopping(**rules),
        "best": None,
        "best_grows": False,
        "restore_best": False,
    }
    return Training(**default | changes)


def data_of(X: Any, T: Any, XV: Any = None, TV: Any = None, weights: Any = None) -> Data:
    """Samples, and samples to validate on."""
    return Data(inputs=X, targets=T, weights=weights, validation_inputs=XV, validation_targets=TV)


def begin(training: Training, theta: Any, seed: int = 0) -> TrainingState:
    """The state before the first update."""
    order, noise = (np.random.Generator(np.random.PCG64([seed, stream])) for stream in (0, 1))
    return TrainingState.start(theta, slots=training.optimizer.slots, order=order, noise=noise)


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
