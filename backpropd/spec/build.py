"""From what was asked to what computes: the one file of this room that looks down to the engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from backpropd.engine import (
    INITIALIZERS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Initializer,
    Layer,
    Network,
    Stopping,
    Training,
    TrainingState,
)
from backpropd.spec.job import SnapshotsSpec
from backpropd.spec.network import NetworkSpec
from backpropd.spec.training import TrainingSpec


@dataclass(frozen=True, slots=True)
class Generators:
    """Streams of chance that do not disturb each other, all from one seed."""

    initial: np.random.Generator  # weights and biases
    split: np.random.Generator  # which rows are held back
    order: np.random.Generator  # the order of each epoch


def generators(seed: int) -> Generators:
    """The streams of a job; the same seed always gives the same three."""
    streams = (
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream,))))
        for stream in range(3)
    )
    return Generators(*streams)


def build_network(spec: NetworkSpec, *, dtype: str) -> Network:
    """The network that a definition describes."""
    layers = [
        Layer(
            name=layer.name,
            units=layer.units,
            activation=layer.activation,
            sources=layer.sources,
            use_bias=layer.use_bias,
            train_weights=layer.train_weights,
            train_biases=layer.train_biases,
        )
        for layer in spec.layers
    ]
    return Network(inputs=spec.inputs, layers=layers, dtype=dtype)


def initial_theta(spec: NetworkSpec, network: Network, *, seed: int) -> NDArray[np.floating]:
    """The weights and biases before training: given ones as given, the others drawn."""
    given = {}
    draw = {}
    for layer in spec.layers:
        draw[f"{layer.name}.weight"] = _initializer(layer.init)
        draw[f"{layer.name}.bias"] = _initializer(layer.bias_init)
        if layer.weights is not None:
            given[f"{layer.name}.weight"] = np.array(layer.weights)
        if layer.biases is not None:
            given[f"{layer.name}.bias"] = np.array(layer.biases)
    return network.initial(given=given, draw=draw, rng=generators(seed).initial)


def build_training(
    network: Network, spec: TrainingSpec, snapshots: SnapshotsSpec, *, task: str
) -> Training:
    """The engine's side of `training`; accuracy is measured where there are classes."""
    optimizer = spec.optimizer.model_dump(exclude={"name", "learning_rate"})
    return Training(
        network=network,
        loss=LOSSES[spec.loss],
        optimizer=OPTIMIZERS[spec.optimizer.name](**optimizer),
        schedule=SCHEDULES[spec.schedule.name](),
        learning_rate=spec.optimizer.learning_rate,
        epochs=spec.epochs,
        batch_size=None if spec.batch_size == "all" else spec.batch_size,
        shuffle=spec.shuffle,
        update_order=spec.update_order,
        metrics=("accuracy",) if task == "classification" else (),
        stopping=Stopping(
            loss_below=spec.stop.loss_below,
            patience=spec.stop.patience,
            min_delta=spec.stop.min_delta,
            monitor=spec.stop.monitor or "loss",
        ),
        best=snapshots.best,
    )


def start(spec: NetworkSpec, training: Training, *, seed: int) -> TrainingState:
    """The state before the first update."""
    theta = initial_theta(spec, training.network, seed=seed)
    streams = generators(seed)
    return TrainingState.start(theta, slots=training.optimizer.slots, rng=streams.order)


def fault_of_targets(loss: str, targets: NDArray[np.floating]) -> str | None:
    """Why these targets (N, O) can't serve this loss, as a sentence, or None."""
    return LOSSES[loss].fault_of(targets)


def _initializer(spec: BaseModel) -> Initializer:
    values = spec.model_dump()
    return INITIALIZERS[values.pop("name")](**values)
